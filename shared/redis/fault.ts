import { reasonOf } from "../util/reason.ts";

/**
 * Why Redis did not do what it was asked.
 *
 * - `unavailable`: it is away, hangs, or is not ready
 * - `full`: it is out of memory, or cannot write to its disk
 * - `moving`: a cluster is moving the bridge's keys to another node
 * - `refused`: user, password or ACL
 * - `unsuitable`: what answers there does not know the commands: a Sentinel, or something else that is no Redis
 */
export const REDIS_FAULTS = ["unavailable", "full", "moving", "refused", "unsuitable"] as const;
export type RedisFaultKind = (typeof REDIS_FAULTS)[number];

/** Each in words, where nothing more is known. */
const REASONS = {
  unavailable: "it does not answer in time",
  full: "it is out of memory, or cannot write to its disk",
  moving: "the cluster is moving the bridge's keys to another node",
  refused: "the user or the password in REDIS_URL is wrong",
  unsuitable:
    "what answers at REDIS_URL does not know the bridge's commands: if it is a Sentinel, REDIS_URL has to begin with redis+sentinel://",
} as const satisfies Record<RedisFaultKind, string>;

/** Why there is no connection, by the error's code or text. */
const UNREACHABLE: readonly [RegExp, string][] = [
  [/sentinels are unreachable/i, "no Sentinel answers"],
  [/ECONNREFUSED/, "nothing listens at its address (ECONNREFUSED)"],
  [/ENOTFOUND|EAI_AGAIN/, "its host name cannot be resolved (ENOTFOUND)"],
  [/EHOSTUNREACH|ENETUNREACH/, "there is no route to its address"],
];

/** A fault of Redis that was reported by another process, without the original error. */
export class RedisFault extends Error {
  override name = "RedisFault";
  readonly fault: RedisFaultKind;
  constructor(fault: RedisFaultKind, reason: string = REASONS[fault]) {
    super(reason);
    this.fault = fault;
  }
}

/** By what Redis and ioredis say. The first that fits counts: an error of the cluster names its last cause. */
const BY_MESSAGE: readonly [RedisFaultKind, RegExp][] = [
  ["full", /^(OOM|MISCONF)\b/],
  [
    "refused",
    /\b(NOAUTH|WRONGPASS|NOPERM)\b|^(ERR )?The user executing the script can't|invalid password|no password is set|without any password/i,
  ],
  ["moving", /\bTRYAGAIN\b|non local key in a cluster node|redirections\. Last error: ReplyError: (MOVED|ASK)\b/],
  ["unsuitable", /^(ERR )?unknown command\b|cluster support disabled/i],
  [
    "unavailable",
    /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|BUSY|UNBLOCKED|EXECABORT)\b|max number of clients|Connection is closed|(Stream|Cluster) isn't (writeable|ready)|(Cluster|Node) is disconnect|startup nodes|Too many Cluster redirections|sentinels are unreachable|Socket timeout|timed out|ECONN|EPIPE|ENOTFOUND|ETIMEDOUT/i,
  ],
];

/** What kind of fault an error is; undefined if it is none of Redis's. */
export function redisFault(error: unknown): RedisFaultKind | undefined {
  if (error instanceof RedisFault) return error.fault;
  if (!(error instanceof Error)) return undefined;
  // What it failed of says more than that all nodes failed, or that it was given up.
  const { lastNodeError, previousErrors } = error as { lastNodeError?: unknown; previousErrors?: readonly unknown[] };
  const cause = redisFault(lastNodeError) ?? previousErrors?.map(redisFault).find((kind) => kind !== undefined);
  if (cause) return cause;
  const found = BY_MESSAGE.find(([, pattern]) => pattern.test(error.message));
  if (found) return found[0];
  return /^(MaxRetriesPerRequest|ClusterAllFailed)Error$/.test(error.name) ? "unavailable" : undefined;
}

/** The same in words, without what Redis says of names and keys. */
export function faultReason(error: unknown): string {
  if (error instanceof RedisFault) return error.message;
  const kind = redisFault(error);
  const said = error instanceof Error ? error.message : "";
  if (kind === "unavailable") return unreachableReason(error, said);
  return kind === "refused" ? refusedReason(said) : kind ? REASONS[kind] : "it failed in a way that was not foreseen";
}

/** Why something failed that asks Redis, for a log: one line, without names, keys or values. */
export const whyFailed = (error: unknown): string =>
  redisFault(error) === undefined ? reasonOf(error) : faultReason(error);

function unreachableReason(error: unknown, said: string): string {
  const { code = "" } = error as { code?: string };
  const text = `${said} ${code}`;
  return UNREACHABLE.find(([pattern]) => pattern.test(text))?.[1] ?? REASONS.unavailable;
}

function refusedReason(text: string): string {
  if (/channel/i.test(text)) return "its user may not use the bridge's channels: the ACL lacks &{PREFIX}:*";
  if (/\bkeys\b|\ba key\b/i.test(text))
    return "its user may not use the bridge's keys: the ACL lacks ~{PREFIX}:*, with the braces";
  if (/NOPERM|executing the script/i.test(text)) return `its user may not run a command${commandOf(text)}`;
  return REASONS.refused;
}

const commandOf = (text: string): string => {
  const [, name] = /'([a-z|]{1,40})' command/i.exec(text) ?? [];
  return name ? `: ${name}` : "";
};
