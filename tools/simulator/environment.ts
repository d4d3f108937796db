import { z } from "zod";
import { CHARACTERS } from "./characters.ts";
import { switchesPatchSchema } from "./switches.ts";

const switchesText = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: "custom", message: "must be JSON" });
      return z.NEVER;
    }
  })
  .pipe(switchesPatchSchema);

const schema = z.object({
  SIMULATOR_TOKEN: z
    .string("is required")
    .min(1, "must not be empty")
    .describe("Required. The same as the worker's CAD_BACKEND_AUTH_TOKEN."),
  SIMULATOR_PORT: z
    .string()
    .regex(/^\d+$/, "must be a number from 0 to 65535")
    .transform(Number)
    .refine((port) => port <= 65535, "must be a number from 0 to 65535")
    .default(3000)
    .describe("The port to listen on; 0 takes a free one."),
  SIMULATOR_HOST: z.string().min(1, "must not be empty").default("127.0.0.1").describe("The address to listen on."),
  SIMULATOR_CHARACTER: z
    .enum(CHARACTERS, `must be one of: ${CHARACTERS.join(", ")}`)
    .default("legacy")
    .describe(
      "legacy: the real CAD, which never acks. modern: acks, and recognises a command id that it has already handled.",
    ),
  SIMULATOR_SWITCHES: switchesText
    .default({})
    .describe('Faults to inject, as JSON, such as {"dropEchoes":0.1,"delayMs":{"min":5,"max":50}}.'),
});

export type Environment = z.infer<typeof schema>;

/** The configuration, or all of its errors in one text, without any values. */
export function readEnvironment(env: Record<string, string | undefined>): Environment | { wrong: string } {
  const result = schema.safeParse(env);
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path: [variable, ...rest], message }) => {
    const where = rest.length > 0 ? ` (${rest.join(".")})` : "";
    return `  ${String(variable)}${where}: ${message}`;
  });
  return { wrong: `wrong configuration:\n${lines.join("\n")}\nSee --help.` };
}

/** One line per variable: name, description and default. */
export function describeEnvironment(): string {
  const lines = Object.entries(schema.shape).map(([name, field]) => {
    const fallback = field instanceof z.ZodDefault ? ` Default: ${JSON.stringify(field.def.defaultValue)}.` : "";
    return `  ${name.padEnd(20)} ${field.description ?? ""}${fallback}`;
  });
  return lines.join("\n");
}
