import { randomBytes } from "node:crypto";
import { z } from "zod";
import { onSomePort } from "../setup/free-port.ts";
import { ask } from "../support/api.ts";
import type { Parts } from "./parts.ts";

/** The platform's services, to which the bridge sends the CAD's events. */
export const SERVICES = ["billing", "epcr"] as const;
export type Service = (typeof SERVICES)[number];

/** The fields of a CloudEvent that a service reads. */
export const receivedWebhook = z.object({
  /** Id of its journal entry. */
  id: z.string(),
  type: z.string(),
  subject: z.string().optional(),
  owncommand: z.string().optional(),
  data: z.unknown(),
});
export type Received = z.infer<typeof receivedWebhook> & { service: Service };
const receivedPage = z.object({
  received: z.array(receivedWebhook.extend({ service: z.enum(SERVICES) })),
  refused: z.number(),
});

const newSecret = () => `whsec_${randomBytes(32).toString("base64")}`;

/** Starts both in one process; resolves to its URL and the worker's environment for them. */
export async function startServices(parts: Parts): Promise<{ url: string; env: Record<string, string> }> {
  const secrets = { BILLING_WEBHOOK_SECRET: newSecret(), EPCR_WEBHOOK_SECRET: newSecret() };
  const url = await onSomePort(undefined, async (port) => {
    const address = `http://127.0.0.1:${port}`;
    await parts.start({
      name: "services",
      script: "tools/up/services-process.ts",
      env: { ...secrets, PORT: String(port) },
      readyWhen: async () => (await ask("GET", `${address}/received`)).status === 200,
    });
    return address;
  });
  const urls = { BILLING_API_URL: `${url}/billing`, EPCR_API_URL: `${url}/epcr` };
  return { url, env: { ...secrets, ...urls, ALLOW_PRIVATE_DESTINATIONS: "true" } };
}

/** The webhooks accepted with a valid signature, and the number refused. */
export const readReceived = async (url: string): Promise<{ received: Received[]; refused: number }> =>
  receivedPage.parse((await ask("GET", `${url}/received`)).body);
