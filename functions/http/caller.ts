import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Role } from "../../shared/vocabulary/roles.ts";

/** The caller, according to the token. */
export interface Caller {
  userId: string;
  role: Role;
  roles: readonly Role[];
  /** The only units it may act for; absent: all. See functions/middleware/scope.ts. */
  units?: readonly string[];
  /** Its organisation, if the token has one. */
  org?: string;
}

export type CallerEnv = { Variables: { caller: Caller } & RequestVariables };

/** Known of every request before authentication. */
interface RequestVariables {
  requestId: string;
  clientAddress: string;
  maxBodyBytes: number;
  /** What the request is part of, of a request that is traced. */
  traceparent?: string | undefined;
  /** Throws a Problem, 429, for a caller, or an address without a valid token, over its limit. */
  admitCaller: (subject: string) => Promise<void>;
  admitStranger: () => Promise<void>;
  /** The same for a caller over its limit in bytes. */
  admitBytes: (subject: string, bytes: number) => Promise<void>;
  /** Refused like similar requests right before it. */
  alike?: boolean;
  /** The unit and incident in the body, once it was read. */
  about?: readonly OrderingKey[];
}
