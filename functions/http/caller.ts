import type { OrderingKey } from "../../shared/vocabulary/ordering-key.ts";
import type { Role } from "../../shared/vocabulary/roles.ts";

/** The caller, according to the token. */
export interface Caller {
  userId: string;
  role: Role;
  roles: readonly Role[];
  /** The only units that it may act for; absent: all. See functions/middleware/scope.ts. */
  units?: readonly string[];
  /** Its organisation, if the token names one. */
  org?: string;
}

export type CallerEnv = { Variables: { caller: Caller } & RequestVariables };

/** What is known of every request before anyone asks who it is from. */
interface RequestVariables {
  requestId: string;
  clientAddress: string;
  maxBodyBytes: number;
  /** What the request is part of, of a request that is traced. */
  traceparent?: string | undefined;
  /** Throws a Problem, 429, for a caller, or an address without a valid token, that asks too much. */
  admitCaller: (subject: string) => Promise<void>;
  admitStranger: () => Promise<void>;
  /** The same for a caller that sends too much. */
  admitBytes: (subject: string, bytes: number) => Promise<void>;
  /** It was refused like others right before it. */
  alike?: boolean;
  /** The unit and incident that the body names, once it was read. */
  about?: readonly OrderingKey[];
}
