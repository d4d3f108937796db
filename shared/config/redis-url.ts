/** `redis+sentinel://` and `rediss+sentinel://`. */
const SENTINEL_URL = /^(rediss?)\+sentinel:/;

const DEFAULT_PORT = 26_379;

/** The parts of a Sentinel URL. */
export interface SentinelAddress {
  sentinels: { host: string; port: number }[];
  /** The name by which the Sentinels know the master. */
  name: string;
  db: number;
  tls: boolean;
  /** For Redis itself. */
  username?: string;
  password?: string;
  /** For the Sentinels; TLS as for Redis unless given. */
  sentinelUsername?: string;
  sentinelPassword?: string;
  sentinelTls: boolean;
}

const FORM = /^(rediss?)\+sentinel:\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/([\w.-]+)(?:\/(\d{1,4}))?(?:\?([^#]*))?$/;
const NODE = /^(\[[\da-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?$/;
const PARAMETERS: ReadonlySet<string> = new Set(["sentinel_username", "sentinel_password", "sentinel_tls"]);

/**
 * Parses `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME[/DB]`, with `?sentinel_username=`, `&sentinel_password=` and
 * `&sentinel_tls=true|false`. undefined if it is none.
 */
export function parseSentinelUrl(url: string): SentinelAddress | undefined {
  const [, protocol, user, hosts, name, db, query] = FORM.exec(url) ?? [];
  if (!protocol || !hosts || !name) return undefined;
  const nodes = hosts.split(",").map((node) => NODE.exec(node));
  const parameters = new URLSearchParams(query ?? "");
  const sentinelTls = parameters.get("sentinel_tls") ?? String(protocol === "rediss");
  const isKnown = [...parameters.keys()].every((key) => PARAMETERS.has(key));
  if (nodes.includes(null) || !isKnown || !/^(true|false)$/.test(sentinelTls)) return undefined;
  const [username, ...rest] = (user ?? "").split(":");
  const password = rest.join(":");
  return {
    sentinels: nodes.flatMap((node) =>
      node?.[1] ? [{ host: node[1].replaceAll(/[[\]]/g, ""), port: Number(node[2] ?? DEFAULT_PORT) }] : [],
    ),
    name,
    db: Number(db ?? 0),
    tls: protocol === "rediss",
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...optional("sentinelUsername", parameters.get("sentinel_username")),
    ...optional("sentinelPassword", parameters.get("sentinel_password")),
    sentinelTls: sentinelTls === "true",
  };
}

const optional = <Name extends string>(name: Name, value: string | null | undefined) =>
  (value ? { [name]: value } : {}) as { [_ in Name]?: string };

/** The Sentinels and the master's name, without passwords. */
const shownSentinels = ({ sentinels, name, tls }: SentinelAddress): string =>
  `redis${tls ? "s" : ""}+sentinel://${sentinels.map(({ host, port }) => `${host}:${port}`).join(",")}/${name}`;

const PROTOCOLS: ReadonlySet<string> = new Set(["redis:", "rediss:", "redis+cluster:", "rediss+cluster:"]);

/** True for a URL that `connectRedis` accepts. */
export function isRedisUrl(text: string): boolean {
  if (SENTINEL_URL.test(text)) return parseSentinelUrl(text) !== undefined;
  return PROTOCOLS.has(URL.parse(text)?.protocol ?? "");
}

/** Redis's address without user and password, for messages. */
export function redisAddress(url: string): string {
  const sentinels = parseSentinelUrl(url);
  if (sentinels) return shownSentinels(sentinels);
  const parsed = URL.parse(url);
  return parsed ? `${parsed.protocol}//${parsed.host}` : "(not a URL)";
}
