import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createEventClock, type TakerQuestions } from "./event-times.ts";
import { serve } from "../load/helper.ts";

/** The services that receive webhooks, one path each. They verify no signature: its cost is not the bridge's. */
export type ReceiverQuestions = TakerQuestions & { port: { takes: null; answers: number } };

if (import.meta.main) {
  const clock = createEventClock();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const dueMs = /"dueMs":([\d.]+)/.exec(Buffer.concat(chunks).toString("latin1"))?.[1];
      clock.came(request.url ?? "/", Number(dueMs ?? Number.NaN));
      // The answer that this bench's load generator expects.
      response.writeHead(202, { "content-type": "application/json", "content-length": "2" }).end("{}");
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  serve<ReceiverQuestions>({ ...clock.answers, port: () => (server.address() as AddressInfo).port });
}
