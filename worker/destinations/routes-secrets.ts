import { z } from "zod";
import { type ReadSecret, readSecretFile, whyUnreadable } from "../../shared/config/secret-files.ts";
import type { Fault } from "../../shared/util/issues.ts";
import { isSecret, oneOrMore, SECRET_FORM } from "./schema.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Nothing is looked up for a field that the schema rejects. */
const names = oneOrMore(z.string()).optional().catch(undefined);
const given = z.object({
  destinations: z.array(z.object({ secret: names, secret_env: names, secret_file: names }).catch({})).catch([]),
});

/** The secrets of each destination of a routes file, also of one in which other things are wrong. */
export function secretsOf(
  raw: unknown,
  environment: Environment,
  read: ReadSecret,
  wrong: (fault: Fault) => void,
): string[][] {
  const { data } = given.safeParse(raw);
  return (data?.destinations ?? []).map((destination, i) => {
    const found = [...(destination.secret ?? [])];
    const fault = (field: string, message: string) => wrong({ path: ["destinations", i, field], message });
    const add = (field: string, text: string | undefined, missing: string) => {
      if (text === undefined) fault(field, missing);
      else if (!isSecret(text.trim())) fault(field, `names something that is no secret: it ${SECRET_FORM}`);
      else found.push(text.trim());
    };
    for (const name of destination.secret_env ?? [])
      add("secret_env", environment[name] || undefined, `${name} is not set`);
    for (const path of destination.secret_file ?? []) {
      try {
        add("secret_file", readSecretFile(path, read), "");
      } catch (error) {
        fault("secret_file", `the file that it names ${whyUnreadable(error)}`);
      }
    }
    return found;
  });
}
