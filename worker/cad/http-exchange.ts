import { type IncomingHttpHeaders, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { HttpStatusError, tooLarge } from "./connection-fault.ts";

/** PEM texts: who is trusted instead of the system's authorities, and what the bridge shows of itself. */
export interface ClientTls {
  ca?: string;
  cert?: string;
  key?: string;
}

/** How long a request may take that the CAD is to answer at once, ms. */
const WRITE_MS = 10_000;

export interface Exchange {
  method: "GET" | "POST";
  body: string | undefined;
  headers: Readonly<Record<string, string>>;
  tls: ClientTls;
  /** Ends it; absent: a deadline does. */
  signal: AbortSignal | undefined;
  /** Of the answer. */
  maxBytes: number;
  /** Called with the headers of any answer. */
  answered?(headers: IncomingHttpHeaders): void;
}

/** One HTTP request and the text of its answer. Rejects with HttpStatusError, FrameError or what the network says. */
export function exchange(url: URL, options: Exchange): Promise<string> {
  const { method, body, tls, maxBytes, signal = AbortSignal.timeout(WRITE_MS) } = options;
  return new Promise((resolve, reject) => {
    const request = url.protocol === "https:" ? requestHttps : requestHttp;
    const type = body === undefined ? {} : { "Content-Type": "text/plain;charset=UTF-8" };
    const headers = { Accept: "*/*", ...type, ...options.headers };
    const asked = request(url, { method, headers, signal, agent: false, ...tls }, (response) => {
      options.answered?.(response.headers);
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("error", reject);
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxBytes) asked.destroy(tooLarge());
        else chunks.push(chunk);
      });
      response.on("end", () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString());
        else reject(new HttpStatusError(response.statusCode ?? 0));
      });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}
