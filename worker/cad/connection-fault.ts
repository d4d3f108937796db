/** Why a connection to the CAD failed or ended, as a code; `reason` is for people. */
export type FaultCode =
  | "unreachable"
  | "tls"
  | "http-status"
  | "timeout"
  | "unreadable-frame"
  | "frame-too-large"
  | "refused"
  | "ended"
  | "other";

export interface ConnectionFault {
  code: FaultCode;
  reason: string;
}

/** The most that the CAD may send in one frame or one HTTP answer, bytes: four times socket.io's default for a server. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/** What the CAD sent does not follow the protocol, or is too large. The message quotes nothing of it: it may be a patient's. */
export class FrameError extends Error {
  override name = "FrameError";
  readonly code: FaultCode;
  constructor(what: string, code: FaultCode = "unreadable-frame") {
    super(code === "unreadable-frame" ? `the CAD sent an unreadable frame: ${what}` : what);
    this.code = code;
  }
}

export const tooLarge = () => new FrameError("the CAD sent a frame larger than 4 MiB", "frame-too-large");

/** The server answered, but not as a Socket.IO server does. */
export class HttpStatusError extends Error {
  override name = "HttpStatusError";
  readonly status: number;
  constructor(status: number) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

const TLS_CODE = /^(?:CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO)/;
const UNREACHABLE = /^(?:ECONNREFUSED|ENOTFOUND|EAI_|EHOSTUNREACH|ENETUNREACH|ECONNRESET|EPIPE|ETIMEDOUT)/;
const UPGRADE_STATUS = /^Unexpected server response: (\d{3})$/;

/** The fault behind a network error. */
export function faultOf(error: unknown): ConnectionFault {
  if (error instanceof FrameError) return { code: error.code, reason: error.message };
  const { code = "", message = "" } = (error ?? {}) as { code?: unknown; message?: unknown };
  const [name, text] = [String(code), typeof message === "string" ? message : ""];
  if (name === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return faultOf(tooLarge());
  const status = error instanceof HttpStatusError ? String(error.status) : UPGRADE_STATUS.exec(text)?.[1];
  if (status !== undefined) return { code: "http-status", reason: `the server answered with HTTP ${status}` };
  if (TLS_CODE.test(name)) return { code: "tls", reason: `TLS failed: ${oneLine(text) || name} (${name})` };
  if (UNREACHABLE.test(name)) return { code: "unreachable", reason: `the CAD cannot be reached (${name})` };
  if (name.startsWith("WS_ERR_")) return faultOf(new FrameError(name));
  return { code: "other", reason: oneLine(text) || name || "no reason is known" };
}

/** Reasons go into the log, Redis and /health: one line of at most 200 characters. */
export function oneLine(text: string): string {
  return text
    .replace(/\p{C}+/gu, " ")
    .trim()
    .slice(0, 200);
}
