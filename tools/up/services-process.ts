import { createServer, type IncomingMessage } from "node:http";
import { Webhook } from "standardwebhooks";
import { z } from "zod";
import { type Received, receivedWebhook, SERVICES, type Service } from "./services.ts";

/**
 * Simulates the platform's billing and ePCR services: each receives webhooks at its own path, verifies the signature
 * (Standard Webhooks) and prints a line for each. GET /received lists the accepted ones.
 */
const MOST = 10_000;
const MAX_BODY = 2_000_000;
const secret = z.string().startsWith("whsec_");
const environment = z.object({
  PORT: z.coerce.number().int(),
  BILLING_WEBHOOK_SECRET: secret,
  EPCR_WEBHOOK_SECRET: secret,
});

interface Inbox {
  webhook: Webhook;
  /** Keyed by webhook id, which identifies repeats. */
  received: Map<string, Received>;
  refused: number;
}

/** Handles one webhook; returns the status. */
function take(service: Service, inbox: Inbox, headers: Record<string, string>, body: string): number {
  const webhookId = headers["webhook-id"] ?? "";
  try {
    const event = receivedWebhook.parse(inbox.webhook.verify(body, headers));
    const repeat = inbox.received.has(webhookId);
    if (inbox.received.size >= MOST) inbox.received.delete(inbox.received.keys().next().value ?? "");
    inbox.received.set(webhookId, { ...event, service });
    console.log(`${service}  ${event.type}  ${event.subject ?? ""}  signature valid${repeat ? ", duplicate" : ""}`);
    return 204;
  } catch (error) {
    inbox.refused += 1;
    console.log(`${service}  refused a webhook: ${error instanceof Error ? error.message : String(error)}`);
    return 401;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error("the body is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const openInbox = (secretOf: string): Inbox => ({ webhook: new Webhook(secretOf), received: new Map(), refused: 0 });

if (import.meta.main) {
  const { PORT, BILLING_WEBHOOK_SECRET, EPCR_WEBHOOK_SECRET } = environment.parse(process.env);
  const inboxes: Record<Service, Inbox> = {
    billing: openInbox(BILLING_WEBHOOK_SECRET),
    epcr: openInbox(EPCR_WEBHOOK_SECRET),
  };

  const server = createServer((request, response) => {
    const end = (status: number) => void response.writeHead(status).end();
    if (request.url === "/received") {
      const all = Object.values(inboxes);
      const received = all.flatMap((one) => [...one.received.values()]);
      response.writeHead(200, { "content-type": "application/json" });
      return void response.end(JSON.stringify({ received, refused: all.reduce((sum, one) => sum + one.refused, 0) }));
    }
    const service = SERVICES.find((name) => request.url === `/${name}`);
    if (service === undefined || request.method !== "POST") return end(404);
    const status = readBody(request).then(
      (body) => take(service, inboxes[service], request.headers as Record<string, string>, body),
      () => 413,
    );
    void status.then(end);
  });
  server.on("error", (error) => {
    console.error(`services: ${error.message}`);
    process.exit(1);
  });
  process.on("SIGTERM", () => process.exit(0));
  server.listen(PORT, "127.0.0.1");
}
