import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { z } from "zod";
import type { CharacterName } from "./characters.ts";
import type { Ledger } from "./ledger.ts";
import type { Store } from "./store.ts";
import { setSwitches, type Switches, switchesPatchSchema } from "./switches.ts";

export interface ControlDeps {
  character: CharacterName;
  ledger: Ledger;
  store: Store;
  switches: Switches;
  connections(): number;
  dropConnections(): number;
}

interface Reply {
  status: number;
  body?: unknown;
}
type Handler = (request: IncomingMessage, url: URL) => Reply | Promise<Reply>;

const MAX_BODY_BYTES = 64 * 1024;
const MAX_PAGE = 1000;
const page = z.strictObject({
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(100),
});

const incident = z.strictObject({ incidentId: z.string().min(1).max(200) });

/** The HTTP API under /simulator, through which tests and demos control a CAD in another process. */
export function createControl({ ledger, store, switches, ...cad }: ControlDeps): RequestListener {
  const judgement = () => ({
    ...ledger.summary(),
    examples: {
      violations: ledger.violations(),
      lateRepeats: ledger.lateRepeats(),
      appliedViolations: ledger.appliedViolations(),
    },
  });
  const database = (running: boolean): Reply => {
    switches.databaseDown = !running;
    return ok({ running });
  };
  const routes: Record<string, Record<string, Handler>> = {
    "/simulator/health": {
      GET: () => ok({ status: "ok", character: cad.character, connections: cad.connections() }),
    },
    "/simulator/ledger": {
      GET(_request, url) {
        if (!url.search) return ok(judgement());
        const query = page.safeParse(Object.fromEntries(url.searchParams));
        if (!query.success) return wrong(query.error);
        const entries = ledger.entries(query.data);
        return ok({ entries, next: entries.at(-1)?.seq ?? query.data.after });
      },
      DELETE() {
        ledger.clear();
        return { status: 204 };
      },
    },
    "/simulator/switches": {
      GET: () => ok(switches),
      async PATCH(request) {
        const text = await readBody(request);
        if (text === undefined) return { status: 413, body: { error: `the body is over ${MAX_BODY_BYTES} bytes` } };
        const patch = switchesPatchSchema.safeParse(parseJson(text));
        if (!patch.success) return wrong(patch.error);
        setSwitches(switches, patch.data);
        return ok(switches);
      },
    },
    "/simulator/store": {
      GET(_request, url) {
        const query = page.safeParse(Object.fromEntries(url.searchParams));
        if (!query.success) return wrong(query.error);
        const writes = store.writes(query.data);
        return ok({ writes, next: writes.at(-1)?.seq ?? query.data.after });
      },
    },
    "/simulator/database/stop": { POST: () => database(false) },
    "/simulator/database/start": { POST: () => database(true) },
    "/simulator/incidents": {
      async POST(request) {
        const known = incident.safeParse(parseJson((await readBody(request)) ?? ""));
        if (!known.success) return wrong(known.error);
        store.addIncident(known.data.incidentId);
        return { status: 204 };
      },
    },
    "/simulator/drop-connections": { POST: () => ok({ dropped: cad.dropConnections() }) },
  };

  async function answer(request: IncomingMessage): Promise<Reply> {
    const url = new URL(request.url ?? "/", "http://simulator");
    const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
    if (!route) return { status: 404, body: { error: `no such path; available: ${Object.keys(routes).join(", ")}` } };
    const handler = Object.hasOwn(route, request.method ?? "") ? route[request.method ?? ""] : undefined;
    if (!handler)
      return { status: 405, body: { error: `method not allowed; available: ${Object.keys(route).join(", ")}` } };
    return handler(request, url);
  }
  return (request, response) => {
    answer(request)
      .catch((error: unknown): Reply => ({ status: 400, body: { error: String(error) } }))
      .then((reply) => send(request, response, reply))
      .catch(() => response.destroy());
  };
}

const ok = (body: unknown): Reply => ({ status: 200, body });
const wrong = (error: z.ZodError): Reply => ({
  status: 422,
  body: {
    error: "nothing was changed",
    issues: error.issues.map(({ path, message }) => ({ path: path.join("."), message })),
  },
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the schema reports that an object is expected
  }
}

/** The body, or undefined if it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function send(request: IncomingMessage, response: ServerResponse, { status, body }: Reply): void {
  // The unread rest of the body would be parsed as the next request.
  if (!request.complete) response.setHeader("connection", "close");
  if (body === undefined) response.writeHead(status).end();
  else response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
