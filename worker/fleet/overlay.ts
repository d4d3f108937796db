import type { CadEntry } from "../../shared/cads/schema.ts";
import type { Cad } from "../../shared/cads/load.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What a CAD's entry says, by the environment variable of a single CAD that it stands for. */
interface Override {
  name: string;
  value: string | undefined;
  /** Where it stands in the entry. */
  path: (string | number)[];
}

const confirmText = (confirm: CadEntry["confirm"]): string | undefined => {
  if (confirm === undefined || typeof confirm === "string") return confirm;
  const { default: mode = "auto", ...events } = confirm;
  return [mode, ...Object.entries(events).map(([event, one]) => `${event}=${one}`)].join(",");
};

const at = (name: string, value: string | undefined, ...path: (string | number)[]): Override => ({ name, value, path });

function overridesOf({ entry, prefix }: Cad, environment: Environment): Override[] {
  const { urls, token_env: tokenEnv, tls } = entry;
  const canaryUrl = environment["CANARY_URL"] || undefined;
  return [
    at("REDIS_PREFIX", prefix, "redis_prefix"),
    at("CAD_ID", entry.id, "id"),
    at("CAD_BACKEND_URL", urls[0], "urls", 0),
    at("CAD_MORE_URLS", urls.length > 1 ? urls.slice(1).join(" ") : undefined, "urls"),
    at(
      "CAD_BACKEND_AUTH_TOKEN",
      tokenEnv === undefined ? entry.token : environment[tokenEnv],
      tokenEnv === undefined ? "token" : "token_env",
    ),
    at("CAD_BACKEND_AUTH_TOKEN_FILE", entry.token_file, "token_file"),
    at("CAD_MOVED_FROM", entry.moved_from, "moved_from"),
    at("CAD_SOCKET_PATH", entry.path, "path"),
    at("CAD_HEADERS", entry.headers && JSON.stringify(entry.headers), "headers"),
    at("CAD_QUERY", entry.query && new URLSearchParams(entry.query).toString(), "query"),
    at("CAD_TRANSPORTS", entry.transports?.join(","), "transports"),
    at("CAD_TLS_CA_FILE", tls?.ca_file, "tls", "ca_file"),
    at("CAD_TLS_CERT_FILE", tls?.cert_file, "tls", "cert_file"),
    at("CAD_TLS_KEY_FILE", tls?.key_file, "tls", "key_file"),
    at("CAD_CONFIRM", confirmText(entry.confirm), "confirm"),
    at("ROUTES_FILE", entry.routes_file, "routes_file"),
    at("CANARY_UNIT", entry.canary_unit, "canary_unit"),
    // Each CAD's canary goes to that CAD, whichever CAD owns its unit.
    at("CANARY_URL", canaryUrl && `${canaryUrl.replace(/\/+$/, "")}/cads/${entry.id}`, "id"),
    at("HEARTBEAT_URL", entry.heartbeat_url, "heartbeat_url"),
  ];
}

/** Variables of one CAD alone: with a file of CADs they would be of no CAD, or of all. */
export const OF_ONE_CAD = [
  "CAD_BACKEND_URL",
  "CAD_MORE_URLS",
  "CAD_BACKEND_AUTH_TOKEN",
  "CAD_ID",
  "CAD_MOVED_FROM",
  "CANARY_UNIT",
  "HEARTBEAT_URL",
] as const;

const withoutFile = (name: string) => name.replace(/_FILE$/, "");

/** A CAD as the environment of a worker for it alone: what its entry says in place of what the environment does. */
export function overlay(cad: Cad, environment: Environment): Record<string, string | undefined> {
  const given = overridesOf(cad, environment).filter(({ value }) => value !== undefined);
  // A secret comes from a variable or from a file: what the entry says of one replaces both.
  const replaced = new Set(given.filter(({ name }) => name !== "ROUTES_FILE").map(({ name }) => withoutFile(name)));
  const kept = Object.entries(environment).filter(([name]) => name !== "CADS_FILE" && !replaced.has(withoutFile(name)));
  return { ...Object.fromEntries(kept), ...Object.fromEntries(given.map(({ name, value }) => [name, value])) };
}

/** Where in a CAD's entry a variable is set; undefined for one that the environment alone has. */
export const placeOf = (cad: Cad, name: string): (string | number)[] | undefined => {
  const all = overridesOf(cad, {});
  const byName = (wanted: string) => all.find((one) => one.name === wanted);
  if (withoutFile(name) === "CAD_BACKEND_AUTH_TOKEN")
    return [
      cad.entry.token_file === undefined ? (cad.entry.token_env === undefined ? "token" : "token_env") : "token_file",
    ];
  return (byName(name) ?? byName(`${name}_FILE`))?.path;
};
