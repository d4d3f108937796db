import type { Hono } from "hono";
import type { CallerEnv } from "../http/caller.ts";
import { noSuch } from "../http/problem.ts";

const JS = "text/javascript; charset=utf-8";
/** The files of the admin page, in functions/admin/, with their content types. Served unchanged. */
export const ADMIN_FILES = {
  "index.html": "text/html; charset=utf-8",
  "style.css": "text/css; charset=utf-8",
  "icon.svg": "image/svg+xml",
  "main.js": JS,
  "api.js": JS,
  "dom.js": JS,
  "plot.js": JS,
  "now.js": JS,
  "commands.js": JS,
  "dead-letters.js": JS,
  "sse.js": JS,
  "events.js": JS,
  "destinations.js": JS,
  "incidents.js": JS,
  "audit.js": JS,
} as const;
export type AdminFile = keyof typeof ADMIN_FILES;

/** Reads one of those files from where the host keeps them. */
export type AdminAssets = (name: AdminFile) => Promise<string>;

/** Blocks external and inline code, and keeps scripts from turning text into markup. */
const POLICY = [
  ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"],
  "trusted-types 'none'",
].join("; ");

/** GET /admin: the page for on-call engineers. Contains no data: it calls the API with the token that the user enters. */
export function serveAdmin(app: Hono<CallerEnv>, assets: AdminAssets): void {
  const headers = { "Content-Security-Policy": POLICY, "Cache-Control": "no-cache" };
  app.get("/admin", async (c) =>
    c.body(await assets("index.html"), 200, { "Content-Type": ADMIN_FILES["index.html"], ...headers }),
  );
  app.get("/admin/:file", async (c) => {
    const name = c.req.param("file");
    if (!Object.hasOwn(ADMIN_FILES, name)) throw noSuch("file of the admin page", name);
    const file = name as AdminFile;
    return c.body(await assets(file), 200, { "Content-Type": ADMIN_FILES[file], ...headers });
  });
}
