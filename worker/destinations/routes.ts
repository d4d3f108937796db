import { ConfigError } from "../../shared/config/config.ts";
import { type Fault, faultsOf } from "../../shared/util/issues.ts";
import { listFaults, parseLocated } from "../../shared/config/located-text.ts";
import { type ReadSecret, readSecretFile, whyUnreadable } from "../../shared/config/secret-files.ts";
import { DEFAULTS } from "./defaults.ts";
import type { Rule } from "./rule.ts";
import { crossFaults } from "./routes-check.ts";
import { type RoutesFile, routesFile } from "./schema.ts";
import { type Environment, secretsOf } from "./routes-secrets.ts";

/** A service that gets the CAD's events. */
export interface Destination {
  id: string;
  /** The same for the same rules. */
  version: string;
  url: string;
  /** Each signs: two while one takes the other's place. */
  secrets: readonly string[];
  /** Whether it is cleared for PHI: one that is not is never sent any. */
  phi: boolean;
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

/**
 * Everything that is said of where events go. Throws a ConfigError that lists all that is wrong, each with its line and place in
 * the file, never with a value.
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
    const parsed = parseLocated(text, wrongInFile);
    if (!parsed) return [];
    const { faults, found } = fromRaw(parsed.raw, "");
    listFaults(faults, parsed).forEach(wrongInFile);
    return found;
  }

  /** @param whose what a rule's place begins with */
  function fromRaw(raw: unknown, whose: string): { faults: Fault[]; found: Destination[] } {
    const { data, error } = routesFile(config.ALLOW_PRIVATE_DESTINATIONS).safeParse(raw);
    const faults = [...faultsOf(error?.issues ?? []), ...crossFaults(raw)];
    const secrets = secretsOf(raw, environment, read, (fault) => void faults.push(fault));
    const texts = rulesOf(raw);
    const rules = (data?.rules ?? []).map((rule, i) => ({
      ...{ to: rule.to, text: JSON.stringify(texts[i]) },
      rule: toRule(rule, `${whose}rules[${i}]`),
    }));
    const found = (data?.destinations ?? []).map((given, i) => ({
      id: given.id,
      version: JSON.stringify(rules.flatMap(({ to, text }, n) => (to.includes(given.id) ? [[n, text]] : []))),
      url: given.url,
      secrets: secrets[i] ?? [],
      phi: given.phi,
      headers: given.headers,
      timeoutMs: given.timeout_ms,
      rate: given.rate,
      retryMs: given.retry_s.map((s) => s * 1000),
      rules: rules.filter(({ to }) => to.includes(given.id)).map(({ rule }) => rule),
    }));
    return { faults, found };
  }

  for (const [id, { url, secret, rules }] of Object.entries(DEFAULTS)) {
    if (config[url] === undefined) continue;
    if (destinations.some((d) => d.id === id)) problems.push(`${url}: is set, and the routes file has "${id}" as well`);
    const raw = {
      // Billing and ePCR cannot do their work without PHI: naming their URL clears them.
      destinations: [{ id, url: config[url], secret: [...(config[secret] ?? [])], phi: true }],
      rules: rules.map((rule) => ({ to: id, ...rule })),
    };
    // Its variables were looked at already: what can still be wrong is the address.
    const { faults, found } = fromRaw(raw, "default ");
    problems.push(...faults.map(({ message }) => `${url}: ${message}`));
    destinations.push(...found);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return destinations;
}

const rulesOf = (raw: unknown): readonly unknown[] => {
  const rules: unknown = (raw as { rules?: unknown } | null)?.rules;
  return Array.isArray(rules) ? rules : [];
};

const toRule = (rule: RoutesFile["rules"][number], at: string): Rule => ({
  at,
  events: rule.events,
  filter: rule.filter,
  ownEchoes: rule.own_echoes,
  fields: rule.fields,
  once: rule.once,
});
