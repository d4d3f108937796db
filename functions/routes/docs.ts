import type { Hono } from "hono";
import type { CallerEnv } from "../http/caller.ts";

/** The files of Swagger UI used by the page, with their content types. */
const DOCS_FILES = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
} as const;
type DocsFile = keyof typeof DOCS_FILES;

/** Reads one of those files. The bridge serves them itself, so that the page works without internet access. */
export type DocsAssets = (name: DocsFile) => Promise<Uint8Array<ArrayBuffer>>;

/** Public documents may be cached for an hour. */
export const PUBLIC = { "Cache-Control": "public, max-age=3600" };

/** GET /docs: the API reference as an interactive page. */
export function serveDocs(app: Hono<CallerEnv>, basePath: string, assets: DocsAssets): void {
  const headers = {
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ...PUBLIC,
  };
  app.get("/docs", (c) => c.html(page(basePath), 200, headers));
  app.get("/docs/start.js", (c) =>
    c.body(start(basePath), 200, { "Content-Type": "text/javascript; charset=utf-8", ...PUBLIC }),
  );
  for (const [name, type] of Object.entries(DOCS_FILES) as [DocsFile, string][]) {
    app.get(`/docs/${name}`, async (c) => c.body(await assets(name), 200, { "Content-Type": type, ...PUBLIC }));
  }
}

const page = (base: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Socket Bridge API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${base}/docs/swagger-ui.css">
</head>
<body>
<main id="docs"></main>
<noscript>The page needs JavaScript; the document itself is at <a href="${base}/openapi.json">openapi.json</a>.</noscript>
<script src="${base}/docs/swagger-ui-bundle.js"></script>
<script src="${base}/docs/start.js"></script>
</body>
</html>
`;

/**
 * Swagger UI would keep the token in localStorage, for every tab and permanently. sessionStorage survives a reload and is
 * deleted with the tab.
 */
const start = (base: string) => `const KEY = "socket-bridge-token";
const ui = SwaggerUIBundle({
  url: ${JSON.stringify(`${base}/openapi.json`)},
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete() {
    const token = sessionStorage.getItem(KEY);
    if (token) ui.preauthorizeApiKey("bearer", token);
    ui.getStore().subscribe(() => {
      const value = ui.authSelectors.authorized().getIn(["bearer", "value"]);
      if (value) sessionStorage.setItem(KEY, value);
      else sessionStorage.removeItem(KEY);
    });
  },
});
`;
