import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import { DatabaseSync } from "node:sqlite";

// Example of a webhook receiver for Node: verifies, stores once, answers, and works afterwards.
//   WEBHOOK_SECRET=whsec_... node webhook-receiver.ts      (two secrets, separated by a space, during a rotation)

const MAX_BODY = 2 * 1024 * 1024;
const TOLERANCE_S = 300;
const AGAIN_MS = 5000;

/** Whether one of the secrets signed this body (Standard Webhooks), recently enough not to be a replay. */
export function verify(secrets: readonly string[], headers: IncomingHttpHeaders, body: Buffer, nowS: number): boolean {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (typeof id !== "string" || typeof timestamp !== "string" || typeof signatures !== "string") return false;
  if (!/^\d+$/.test(timestamp) || Math.abs(nowS - Number(timestamp)) > TOLERANCE_S) return false;
  const wanted = secrets.map((secret) =>
    createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"))
      .update(`${id}.${timestamp}.`)
      .update(body)
      .digest(),
  );
  const given = signatures
    .split(" ")
    .flatMap((part) => (part.startsWith("v1,") ? [Buffer.from(part.slice(3), "base64")] : []));
  return given.some((one) => wanted.some((other) => one.length === other.length && timingSafeEqual(one, other)));
}

/** Events received but not processed yet, on disk: an event answered with 2xx is not sent again. */
export function openInbox(path: string) {
  const database = new DatabaseSync(path);
  database.exec("create table if not exists inbox (id text primary key, event text)");
  const insert = database.prepare("insert or ignore into inbox values (?, ?)");
  const oldest = database.prepare("select id, event from inbox where event is not null order by rowid limit 1");
  const finish = database.prepare("update inbox set event = null where id = ?");
  return {
    /** False for a repeat: deliveries may be repeated, with the same id. */
    add: (id: string, event: string): boolean => insert.run(id, event).changes === 1,
    take: () => oldest.get() as { id: string; event: string } | undefined,
    /** Keeps the id, to recognise repeats: delete old ones after a month. */
    done: (id: string) => void finish.run(id),
  };
}
type Inbox = ReturnType<typeof openInbox>;

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function createReceiver(
  secrets: readonly string[],
  inbox: Inbox,
  act: (event: unknown) => Promise<void>,
): Server {
  let working = false;
  /** Processes events one at a time in order of arrival, with retries. */
  async function work(): Promise<void> {
    if (working) return;
    working = true;
    try {
      for (let next = inbox.take(); next; next = inbox.take()) {
        await act(JSON.parse(next.event));
        inbox.done(next.id);
      }
    } catch {
      setTimeout(() => void work(), AGAIN_MS);
    } finally {
      working = false;
    }
  }

  async function take(request: IncomingMessage): Promise<number> {
    const body = await readBody(request);
    if (!body) return 413;
    if (!verify(secrets, request.headers, body, Date.now() / 1000)) return 401;
    inbox.add(String(request.headers["webhook-id"]), body.toString("utf8"));
    return 204;
  }

  void work();
  return createServer({ requestTimeout: 10_000 }, (request, response) => {
    const answer = (status: number) => void response.writeHead(status).end();
    take(request)
      .then(answer, () => answer(500))
      .finally(() => void work());
  });
}

const show = async (event: unknown): Promise<void> => {
  const { type, subject } = event as { type: string; subject?: string };
  process.stdout.write(`event ${type} ${subject ?? ""}\n`);
};

if (import.meta.main) {
  const { WEBHOOK_SECRET = "", INBOX = "inbox.sqlite", PORT = "8080" } = process.env;
  const server = createReceiver(WEBHOOK_SECRET.split(" "), openInbox(INBOX), show);
  server.listen(Number(PORT), "127.0.0.1", () => {
    const address = server.address();
    process.stdout.write(`listening on ${typeof address === "object" ? address?.port : address}\n`);
  });
}
