import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { freePort } from "../../setup/free-port.ts";
import { type RunningProcess, startProgram } from "../../setup/process.ts";

/** A worker in workerd itself: without wrangler, whose proxy takes most of a request's time. */
export interface Workerd extends RunningProcess {
  port: number;
}

/** What a worker consists of. The first module is its entry; `durableObject` is a class that it exports. */
export interface WorkerCode {
  modules: readonly { name: string; text: string; kind: "esModule" | "text" }[];
  compatibilityDate: string;
  vars: Readonly<Record<string, string>>;
  durableObject?: { binding: string; className: string };
}

/** The least that a worker does: it reads a JSON body and answers with one. */
export const BARE: Omit<WorkerCode, "compatibilityDate"> = {
  modules: [
    {
      name: "bare.js",
      kind: "esModule",
      text: `export default { async fetch(request) {
        if (request.headers.get("Authorization") === "Bearer none") return Response.json({ success: false }, { status: 401 });
        await request.json();
        return Response.json({ success: true, command_id: crypto.randomUUID() }, { status: 202 });
      } };`,
    },
  ],
  vars: {},
};

/** The modules of a bundle that `wrangler deploy --dry-run --outdir` wrote. */
export function readBundle(dir: string, entry: string): WorkerCode["modules"] {
  const files = readdirSync(dir).filter((file) => !/\.map$|^README/.test(file));
  const ordered = [entry, ...files.filter((file) => file !== entry)];
  return ordered.map((name) => ({
    name,
    text: readFileSync(join(dir, name), "utf8"),
    kind: name === entry ? "esModule" : "text",
  }));
}

/** @param dir for its configuration and log; each worker needs a name of its own there */
export async function startWorkerd(dir: string, name: string, code: WorkerCode): Promise<Workerd> {
  const port = await freePort();
  for (const { name: module, text } of code.modules) writeFileSync(join(dir, `${name}-${module}`), text);
  const config = join(dir, `${name}.capnp`);
  writeFileSync(config, configOf(name, port, code));
  const program = createRequire(import.meta.url)("workerd") as { default: string };
  const running = await startProgram({
    name,
    command: program.default,
    args: ["serve", config],
    output: join(dir, `${name}.log`),
    env: {},
    readyWhen: async ({ signal }) => (await fetch(`http://127.0.0.1:${port}/`, { method: "POST", signal })).status > 0,
  });
  return Object.assign(running, { port });
}

const quoted = (text: string) => JSON.stringify(text);

function configOf(name: string, port: number, { modules, compatibilityDate, vars, durableObject }: WorkerCode): string {
  const bindings = [
    ...Object.entries(vars).map(([key, value]) => `(name = ${quoted(key)}, text = ${quoted(value)})`),
    ...(durableObject
      ? [`(name = ${quoted(durableObject.binding)}, durableObjectNamespace = ${quoted(durableObject.className)})`]
      : []),
  ];
  const embedded = modules.map(
    (module) => `(name = ${quoted(module.name)}, ${module.kind} = embed ${quoted(`${name}-${module.name}`)})`,
  );
  const namespaces = durableObject ? [`(className = ${quoted(durableObject.className)}, uniqueKey = "bench")`] : [];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${embedded.join(", ")}],
  compatibilityDate = ${quoted(compatibilityDate)},
  compatibilityFlags = ["nodejs_compat"],
  bindings = [${bindings.join(", ")}],
  durableObjectNamespaces = [${namespaces.join(", ")}],
  durableObjectStorage = (inMemory = void),
);
`;
}
