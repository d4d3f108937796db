import { LineCounter, parseDocument } from "yaml";
import { ConfigError } from "../../shared/config/config.ts";
import { faultsOf } from "../../shared/util/issues.ts";
import { type ReadSecret, readSecretFile, whyUnreadable } from "../../shared/config/secret-files.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Rule } from "./rule.ts";
import { isSecret, type RoutesFile, routesFile, SECRET_FORM } from "./schema.ts";

/** A service that gets the CAD's events. */
export interface Destination {
  id: string;
  url: string;
  /** Each signs: two while one takes the other's place. */
  secrets: readonly string[];
  headers: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Requests per second at most. */
  rate: number | undefined;
  /** How long a message waits after its first, second, ... failed attempt. */
  retryMs: readonly number[];
  /** The first one that matches an event says how it goes out. */
  rules: readonly Rule[];
}

/** The variables that say where the CAD's events go. */
export interface RoutesConfig {
  ROUTES_FILE?: string | undefined;
  BILLING_API_URL?: string | undefined;
  BILLING_WEBHOOK_SECRET?: readonly string[] | undefined;
  EPCR_API_URL?: string | undefined;
  EPCR_WEBHOOK_SECRET?: readonly string[] | undefined;
  ALLOW_PRIVATE_DESTINATIONS: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Everything that is said of where events go. Throws a ConfigError that lists all that is wrong, each with its place in the file,
 * never with a value.
 * @param environment where `secret_env` is looked up
 * @param read for the routes file and `secret_file`
 */
export function loadRoutes(config: RoutesConfig, environment: Environment, read: ReadSecret): Destination[] {
  const problems: string[] = [];
  const wrongInFile = (problem: string) => void problems.push(`ROUTES_FILE: ${problem}`);
  const destinations = config.ROUTES_FILE === undefined ? [] : fromFile(config.ROUTES_FILE);

  function fromFile(file: string): Destination[] {
    let text: string;
    try {
      text = readSecretFile(file, read);
    } catch (error) {
      wrongInFile(`the file that it names ${whyUnreadable(error)}`);
      return [];
    }
    const parsed = parseText(text, wrongInFile);
    return parsed === undefined ? [] : fromRaw(parsed, wrongInFile);
  }

  function fromRaw(raw: unknown, wrong: (problem: string) => void): Destination[] {
    const { data, error } = routesFile(config.ALLOW_PRIVATE_DESTINATIONS).safeParse(raw);
    for (const { path, message } of faultsOf(error?.issues ?? [])) wrong(`${placeOf(path)}: ${message}`);
    return (data?.destinations ?? []).map((given, i) => ({
      id: given.id,
      url: given.url,
      secrets: secretsOf(given, (field, what) => wrong(`destinations[${i}].${field}: ${what}`)),
      headers: given.headers,
      timeoutMs: given.timeout_ms,
      rate: given.rate,
      retryMs: given.retry_s.map((s) => s * 1000),
      rules: (data?.rules ?? []).filter((rule) => rule.to.includes(given.id)).map(toRule),
    }));
  }

  function secretsOf(
    given: RoutesFile["destinations"][number],
    wrong: (field: string, what: string) => void,
  ): string[] {
    const found = [...(given.secret ?? [])];
    const add = (field: string, text: string | undefined, missing: string) => {
      if (text === undefined) wrong(field, missing);
      else if (!isSecret(text.trim())) wrong(field, `names something that is no secret: it ${SECRET_FORM}`);
      else found.push(text.trim());
    };
    for (const name of given.secret_env ?? []) add("secret_env", environment[name] || undefined, `${name} is not set`);
    for (const path of given.secret_file ?? []) {
      try {
        add("secret_file", readSecretFile(path, read), "");
      } catch (error) {
        wrong("secret_file", `the file that it names ${whyUnreadable(error)}`);
      }
    }
    return found;
  }

  for (const [id, { url, secret, rules }] of Object.entries(DEFAULTS)) {
    if (config[url] === undefined) continue;
    if (destinations.some((d) => d.id === id)) problems.push(`${url}: is set, and the routes file has "${id}" as well`);
    const raw = {
      destinations: [{ id, url: config[url], secret: [...(config[secret] ?? [])] }],
      rules: rules.map((rule) => ({ to: id, ...rule })),
    };
    // Its variables were looked at already: what can still be wrong is the address.
    const found = fromRaw(raw, (problem) => problems.push(`${url}: ${problem.replace(/^.*?: /, "")}`));
    destinations.push(...found);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return destinations;
}

function parseText(text: string, wrong: (problem: string) => void): unknown {
  const lines = new LineCounter();
  // Pretty errors would show the text, and secrets with it.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  for (const { code, pos } of document.errors) {
    const { line, col } = lines.linePos(pos[0]);
    wrong(`line ${line}, column ${col}: is not YAML (${code.toLowerCase().replaceAll("_", " ")})`);
  }
  if (document.errors.length > 0) return undefined;
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch {
    wrong("has an alias that leads nowhere, or too many of them");
    return undefined;
  }
}

const placeOf = (path: readonly PropertyKey[]): string =>
  path.map((step, i) => (typeof step === "number" ? `[${step}]` : `${i > 0 ? "." : ""}${String(step)}`)).join("") ||
  "(the file)";

const toRule = (rule: RoutesFile["rules"][number]): Rule => ({
  events: rule.events,
  filter: rule.filter,
  ownEchoes: rule.own_echoes,
  fields: rule.fields,
  once: rule.once,
});
