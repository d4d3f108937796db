import { z } from "zod";
import { isPublic, literalAddress } from "./address.ts";
import { compileFilter, type Filter } from "./filter.ts";

/** How long a destination may take to answer, if it is not said otherwise, ms. */
const TIMEOUT_MS = 10_000;
/**
 * How long a message waits after each attempt that failed, s: 10 attempts in about 23 h. After the form of the schedule that
 * Standard Webhooks gives as an example, with its longest waits left out.
 */
export const RETRY_S = [5, 30, 120, 600, 1800, 7200, 18_000, 18_000, 36_000] as const;

export const oneOrMore = <T extends z.ZodType>(schema: T) =>
  z.union([schema.transform((one) => [one]), z.array(schema).min(1).max(20)], {
    error: "must be one or a list of such",
  });

/** `whsec_` and 24 to 64 bytes in base64, as Standard Webhooks has it. */
export const isSecret = (text: string): boolean =>
  /^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text) &&
  bytes(text) >= 24 &&
  bytes(text) <= 64;
const bytes = (text: string) => Buffer.from(text.slice("whsec_".length), "base64").length;
export const SECRET_FORM =
  "must be whsec_ and 24 to 64 bytes in base64: make one with `echo whsec_$(openssl rand -base64 32)`";

const id = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, "must be up to 40 lower-case letters, digits and dashes, a dash not first");
const name = z.string().min(1).max(200);
const secret = z.string().refine(isSecret, SECRET_FORM);

/** Set by the bridge, or by HTTP: nobody else may. */
const RESERVED =
  /^(host|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-.*|webhook-.*|ce-.*|traceparent)$/i;
const headers = z.record(
  z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]{1,100}$/, "is not the name of a header")
    .refine((header) => !RESERVED.test(header), "is a header that the bridge or HTTP itself sets"),
  z.string().regex(/^[\x20-\x7e]{0,4000}$/, "must be printable ASCII"),
);

/** Where a destination may be. @param allowPrivate ALLOW_PRIVATE_DESTINATIONS */
const destinationUrl = (allowPrivate: boolean) =>
  z.url({ protocol: /^https?$/, error: "must be an http:// or https:// URL" }).superRefine((text, context) => {
    if (!URL.canParse(text)) return;
    const url = new URL(text);
    const wrong = (message: string) => context.addIssue({ code: "custom", message });
    if (url.username || url.password) wrong("must not hold user or password: set a header Authorization");
    if (allowPrivate) return;
    if (url.protocol === "http:") wrong("must be https://; http:// takes ALLOW_PRIVATE_DESTINATIONS=true");
    const address = literalAddress(url.hostname);
    if (address !== undefined && !isPublic(address))
      wrong("is a private or reserved address; that takes ALLOW_PRIVATE_DESTINATIONS=true");
  });

const destination = (allowPrivate: boolean) =>
  z.strictObject({
    id,
    url: destinationUrl(allowPrivate),
    secret: oneOrMore(secret).optional(),
    secret_env: oneOrMore(name).optional(),
    secret_file: oneOrMore(name).optional(),
    /** Cleared to receive protected health information. */
    phi: z.boolean().default(false),
    headers: headers.default({}),
    timeout_ms: z.int().min(100).max(60_000).default(TIMEOUT_MS),
    rate: z.int().min(1).max(10_000).optional(),
    retry_s: z
      .array(z.number().min(0.01).max(86_400))
      .min(1)
      .max(20)
      .default([...RETRY_S]),
  });

const path = z
  .string()
  .regex(/^[\w-]+(\.[\w-]+){0,9}$/, "must be names of fields, joined by dots")
  .refine((text) => !text.split(".").includes("__proto__"), "is not the name of a field");
const paths = z.array(path).min(1).max(100);

const filter = z
  .string()
  .min(1)
  .max(2000)
  .transform((expression, context): Filter => {
    const compiled = compileFilter(expression);
    if ("filter" in compiled) return compiled.filter;
    context.addIssue({ code: "custom", message: `cannot work as a filter: ${compiled.error}` });
    return z.NEVER;
  });

const eventName = z.string().regex(/^[\w:.*-]{1,100}$/, "must be the name of an event, with * for any part of it");

const rule = z.strictObject({
  to: oneOrMore(id),
  events: oneOrMore(eventName),
  filter: filter.optional(),
  own_echoes: z.boolean().default(true),
  fields: paths.optional(),
  once: paths.optional(),
});

/** A routes file, part by part; `crossFaults` lists contradictions between its parts. */
export const routesFile = (allowPrivate: boolean) =>
  z.strictObject({
    destinations: z.array(destination(allowPrivate)).max(100),
    rules: z.array(rule).max(1000),
    /** Events of this CAD that the bridge does not know: names that rules may name all the same. */
    other_events: oneOrMore(eventName).optional(),
  });
export type RoutesFile = z.infer<ReturnType<typeof routesFile>>;
