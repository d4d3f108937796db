import { reasonOf } from "../util/reason.ts";

/**
 * Why a Redis command failed. `unavailable`: Redis is down, hangs or is not ready; `full`: out of memory, or it cannot write to
 * disk; `moving`: a cluster is migrating the bridge's keys; `refused`: user, password or ACL; `unsuitable`: the server does
 * not know the commands, such as a Sentinel.
 */
export const REDIS_FAULTS = ["unavailable", "full", "moving", "refused", "unsuitable"] as const;
export type RedisFaultKind = (typeof REDIS_FAULTS)[number];

/** Default sentence for each. */
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

/** A Redis fault reported by another process, without the original error. */
export class RedisFault extends Error {
  override name = "RedisFault";
  readonly fault: RedisFaultKind;
  constructor(fault: RedisFaultKind, reason: string = REASONS[fault]) {
    super(reason);
    this.fault = fault;
  }
}

/** Matches messages of Redis and ioredis; the first match counts, since an error of the cluster names its last cause. */
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

/** The kind of fault of an error; undefined if it is not Redis's. */
export function redisFault(error: unknown): RedisFaultKind | undefined {
  if (error instanceof RedisFault) return error.fault;
  if (!(error instanceof Error)) return undefined;
  // The underlying error is more specific than "all nodes failed" or a timeout.
  const { lastNodeError, previousErrors } = error as { lastNodeError?: unknown; previousErrors?: readonly unknown[] };
  const cause = redisFault(lastNodeError) ?? previousErrors?.map(redisFault).find((kind) => kind !== undefined);
  if (cause) return cause;
  const found = BY_MESSAGE.find(([, pattern]) => pattern.test(error.message));
  if (found) return found[0];
  return /^(MaxRetriesPerRequest|ClusterAllFailed)Error$/.test(error.name) ? "unavailable" : undefined;
}

/** The same as a sentence, without Redis's text about names and keys. */
export function faultReason(error: unknown): string {
  if (error instanceof RedisFault) return error.message;
  const kind = redisFault(error);
  const message = error instanceof Error ? error.message : "";
  if (kind === "unavailable") return unreachableReason(error, message);
  return kind === "refused"
    ? refusedReason(message)
    : kind
      ? REASONS[kind]
      : "it failed in a way that was not foreseen";
}

/** Why a Redis operation failed, for a log: one line, without names, keys or values. */
export const whyFailed = (error: unknown): string =>
  redisFault(error) === undefined ? reasonOf(error) : faultReason(error);

function unreachableReason(error: unknown, message: string): string {
  const { code = "" } = error as { code?: string };
  const text = `${message} ${code}`;
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
