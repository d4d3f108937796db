import { registerHooks } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = join(import.meta.dirname, "../..");
const port = (name: string) => pathToFileURL(join(import.meta.dirname, "ports", `${name}.ts`)).href;

/** What the bridge talks to the world through, and what stands there in the simulation. All else is the code that runs in production. */
const PACKAGES: Readonly<Record<string, string>> = {
  ioredis: port("redis"),
  bullmq: port("bullmq"),
  undici: port("undici"),
};
const FILES: Readonly<Record<string, string>> = {
  "worker/cad/transport.ts": port("transport"),
};

/** Changes the text of a file of the project; undefined leaves it as it is. */
export type Edit = (file: string, source: string) => string | undefined;

const textOf = (source: string | NodeJS.ArrayBufferView | ArrayBuffer | undefined): string =>
  typeof source === "string" ? source : source === undefined ? "" : Buffer.from(source as Uint8Array).toString("utf8");

/** To be called before anything of the bridge is imported. */
export function replaceSurroundings(edit?: Edit): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const replaced = PACKAGES[specifier];
      if (replaced !== undefined && !context.parentURL?.includes("/node_modules/"))
        return { url: replaced, format: "module-typescript", shortCircuit: true };
      const resolved = nextResolve(specifier, context);
      if (!resolved.url.startsWith("file:") || context.parentURL?.includes("/tools/simulate/")) return resolved;
      const stand = FILES[relative(ROOT, fileURLToPath(resolved.url))];
      return stand === undefined ? resolved : { url: stand, format: "module-typescript", shortCircuit: true };
    },
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!edit || !url.startsWith("file:") || url.includes("/node_modules/")) return loaded;
      const edited = edit(relative(ROOT, fileURLToPath(url)), textOf(loaded.source));
      return edited === undefined ? loaded : { ...loaded, source: edited };
    },
  });
}
