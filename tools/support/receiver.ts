import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

/** One received request and its answer. */
export interface Received {
  method: string;
  headers: IncomingHttpHeaders;
  /** Id of its CloudEvent. */
  id: string;
  type: string;
  subject: string | undefined;
  data: unknown;
  /** The complete event. */
  event: Record<string, unknown>;
  /** Whether its signature is valid. */
  verified: boolean;
  /** 0: not answered. */
  status: number;
  at: number;
}

/** `hang`: never answers. */
export type ReceiverAnswer = number | "hang" | { status: number; headers?: Record<string, string> };

export interface Receiver {
  url: string;
  secret: string;
  /** Every request, in order of arrival. */
  received: Received[];
  /** The requests answered with 2xx. */
  accepted(): Received[];
  /** Sets the answer from now on, or a function that chooses it per request. Initially 204. */
  answer(how: ReceiverAnswer | ((request: Received) => ReceiverAnswer)): void;
  stop(): Promise<void>;
}

/** A new webhook secret: `whsec_` and 32 random bytes. */
export const newSecret = (): string =>
  `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;

const taken = () => 204;

/** A webhook receiver on a real port that verifies signatures. */
export async function startReceiver({ secret = newSecret(), port = 0 } = {}): Promise<Receiver> {
  const received: Received[] = [];
  const webhook = new Webhook(secret);
  let how: (request: Received) => ReceiverAnswer = taken;

  function verify(body: string, headers: IncomingHttpHeaders): boolean {
    try {
      webhook.verify(body, headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  }

  function take(method: string, headers: IncomingHttpHeaders, body: string, response: ServerResponse): void {
    const event = (body === "" ? {} : JSON.parse(body)) as Record<string, unknown>;
    const request: Received = {
      method,
      headers,
      id: String(event["id"]),
      type: String(event["type"]),
      subject: event["subject"] as string | undefined,
      data: event["data"],
      event,
      verified: verify(body, headers),
      status: 0,
      at: performance.now(),
    };
    const answer = how(request);
    const { status, headers: more = {} } = typeof answer === "object" ? answer : { status: answer };
    received.push(request);
    if (status === "hang") return;
    request.status = status;
    response.writeHead(status, more).end();
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => undefined);
    request.on("end", () =>
      take(request.method ?? "", request.headers, Buffer.concat(chunks).toString("utf8"), response),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    secret,
    received,
    accepted: () => received.filter((r) => r.status >= 200 && r.status < 300),
    answer: (next) => void (how = typeof next === "function" ? next : () => next),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
