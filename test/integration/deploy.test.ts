import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import * as apps from "kubernetes-models/apps/v1";
import * as policy from "kubernetes-models/policy/v1";
import * as core from "kubernetes-models/v1";
import { expect, inject, onTestFinished, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { functionsEnv } from "../../functions/config/node-config.ts";
import { freePort } from "../../tools/setup/free-port.ts";
import { startProgram } from "../../tools/setup/process.ts";
import { workerEnv } from "../../worker/config/worker-env.ts";
import { CAD_TOKEN, JWT_SECRET } from "../support/bridge.ts";
import { makeCertificate } from "../support/certificate.ts";
import { freshPrefix } from "../support/redis.ts";

const ROOT = join(import.meta.dirname, "../..");
const DEPLOY = join(ROOT, "deploy");
/** The user nobody of Debian. */
const NOBODY = "65534";

const variables = new Set([...Object.keys(functionsEnv.shape), ...Object.keys(workerEnv.shape)]);
const isKnown = (name: string) =>
  variables.has(name) || variables.has(name.replace(/_FILE$/, "")) || name === "NODE_ENV";
const read = (path: string) => readFileSync(join(DEPLOY, path), "utf8");
const onPath = (program: string) => spawnSync("which", [program]).status === 0;

function scratch(): string {
  // Not in the user's own directory: another user is to read it.
  const dir = mkdtempSync(join(tmpdir(), "socket-bridge-image-"));
  execFileSync("chmod", ["755", dir]);
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Copied with the package that has it. */
const nested = (path: string) => path.indexOf("/node_modules/", "node_modules/".length) > 0;

/** The COPY steps of the image's last stage. What `npm ci --omit=dev` would install is copied from what is installed here. */
function makeImage(): string {
  const app = scratch();
  const last =
    read("docker/Dockerfile")
      .split(/^FROM /m)
      .at(-1) ?? "";
  for (const [, all = ""] of last.matchAll(/^COPY (?!--from)(.+)$/gm)) {
    const [to = "", ...from] = all.split(" ").toReversed();
    for (const source of from) {
      const target = to.endsWith("/") || to === "./" ? join(app, to, basename(source)) : join(app, to);
      mkdirSync(dirname(target), { recursive: true });
      cpSync(join(ROOT, source), target, { recursive: true });
    }
  }
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  const shipped = Object.entries(packages).flatMap(([path, { dev, devOptional }]) =>
    path !== "" && !nested(path) && dev !== true && devOptional !== true && existsSync(join(ROOT, path)) ? [path] : [],
  );
  expect(shipped.length).toBeGreaterThan(20);
  for (const path of shipped) {
    mkdirSync(dirname(join(app, path)), { recursive: true });
    cpSync(join(ROOT, path), join(app, path), { recursive: true, dereference: true });
  }
  copyFileSync(process.execPath, join(app, "node"));
  return app;
}

/** As another user than the owner of the tree, who so may write nothing in it. */
const asNobody = (app: string, args: readonly string[]): { command: string; args: string[] } =>
  process.getuid?.() === 0
    ? {
        command: "setpriv",
        args: [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", join(app, "node"), ...args],
      }
    : { command: join(app, "node"), args: [...args] };

test("the image's files run both processes as an unprivileged user who can write nothing there", async () => {
  const app = makeImage();
  const before = readdirSync(app, { recursive: true }).length;
  const [port, workerPort] = [await freePort(), await freePort()];
  const env = {
    REDIS_URL: inject("redisUrl"),
    REDIS_PREFIX: freshPrefix(),
    ALLOW_UNSEALED_PAYLOADS: "true",
    NODE_ENV: "production",
  };
  const functions = { ...env, JWT_SECRET, PORT: String(port), CAD_BACKEND_URL: undefined };
  const cad = { CAD_BACKEND_URL: "http://127.0.0.1:9", CAD_BACKEND_AUTH_TOKEN: CAD_TOKEN };
  const worker = { ...env, ...cad, WORKER_PORT: String(workerPort) };
  const logs = scratch();
  for (const [name, main, own] of [
    ["functions", "functions/hosts/node.ts", functions],
    ["worker", "worker/main.ts", worker],
  ] as const) {
    const health = asNobody(app, [join(app, "healthcheck.mjs")]);
    const whole = { ...process.env, ...own };
    const isHealthy = () => spawnSync(health.command, health.args, { env: whole, timeout: 10_000 }).status === 0;
    expect(isHealthy(), "nothing answers yet").toBe(false);
    const running = await startProgram({
      name,
      ...asNobody(app, [join(app, main)]),
      output: join(logs, `${name}.log`),
      env: own,
      readyWhen: async () => isHealthy(),
    });
    onTestFinished(async () => void (await running.stop()));
    expect(await running.stop(), running.tail()).toMatchObject({ code: 0 });
  }
  expect(readdirSync(app, { recursive: true }).length).toBe(before);
}, 90_000);

test("compose.yaml starts the processes that the image has, and sets no variable that does not exist", () => {
  const { services } = parse(read("docker/compose.yaml"), { merge: true }) as {
    services: Record<
      string,
      { command?: string[]; environment?: Record<string, string>; read_only?: boolean; volumes?: string[] }
    >;
  };
  for (const name of ["functions", "worker"]) {
    const service = services[name];
    expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"], deploy: { replicas: 2 } });
    expect(existsSync(join(ROOT, service?.command?.[1] ?? "")), name).toBe(true);
    expect(Object.keys(service?.environment ?? {}).filter((one) => !isKnown(one))).toEqual([]);
  }
  const mounted = Object.values(services).flatMap(({ volumes = [] }) => volumes.filter((one) => one.startsWith(".")));
  expect(mounted.length).toBeGreaterThan(2);
  for (const volume of mounted)
    expect(existsSync(join(DEPLOY, "docker", volume.split(":")[0] ?? "")), volume).toBe(true);
});

const KINDS = {
  ConfigMap: core.ConfigMap,
  Service: core.Service,
  Deployment: apps.Deployment,
  PodDisruptionBudget: policy.PodDisruptionBudget,
} as const;

test("the Kubernetes manifests fit their schemas, and name variables and ports that exist", () => {
  const documents = parseAllDocuments(read("kubernetes/socket-bridge.yaml")).map(
    (one) => one.toJS() as { kind: string },
  );
  expect(documents.length).toBe(6);
  for (const document of documents) {
    const Kind = KINDS[document.kind as keyof typeof KINDS];
    expect(Kind, document.kind).toBeDefined();
    new Kind(document as never).validate();
    if (document.kind !== "Deployment") continue;
    const { spec } = new apps.Deployment(document as never);
    expect(spec?.selector.matchLabels).toEqual(spec?.template.metadata?.labels);
    const [container] = spec?.template.spec?.containers ?? [];
    expect(existsSync(join(ROOT, container?.command?.[1] ?? ""))).toBe(true);
    expect(container?.env?.map(({ name }) => name).filter((name) => !isKnown(name))).toEqual([]);
    const ports = container?.ports?.map(({ name }) => name);
    for (const probe of [container?.livenessProbe, container?.readinessProbe])
      expect(ports).toContain(probe?.httpGet?.port ?? probe?.tcpSocket?.port);
  }
});

const UNITS = ["functions", "worker"].map((name) => `systemd/socket-bridge-${name}@.service`);

test.each(UNITS)("%s starts a file that exists, with variables that exist", (unit) => {
  const text = read(unit);
  expect(existsSync(join(ROOT, /^ExecStart=\/usr\/bin\/node (\S+)$/m.exec(text)?.[1] ?? ""))).toBe(true);
  const named = [...text.matchAll(/^(?:Environment|LoadCredential)=(\w+)[=:]/gm)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !isKnown(name))).toEqual([]);
});

test.skipIf(!onPath("systemd-analyze") || !existsSync("/usr/bin/node"))(
  "systemd accepts the units (skipped where systemd-analyze or /usr/bin/node is missing)",
  () => {
    for (const unit of UNITS) {
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", join(DEPLOY, unit)], { encoding: "utf8" });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    }
  },
);

test.skipIf(!onPath("nginx"))("nginx accepts its configuration (skipped where nginx is missing)", () => {
  const dir = scratch();
  const { cert, key } = makeCertificate(dir);
  const site = read("nginx/socket-bridge.conf")
    .replace(/ssl_certificate .*;/, `ssl_certificate ${cert};`)
    .replace(/ssl_certificate_key .*;/, `ssl_certificate_key ${key};`);
  writeFileSync(join(dir, "site.conf"), site);
  writeFileSync(join(dir, "nginx.conf"), `pid ${dir}/pid; events {} http { include ${dir}/site.conf; }`);
  const { status, stderr } = spawnSync("nginx", ["-t", "-c", join(dir, "nginx.conf")], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
});

test.skipIf(!onPath("caddy"))("Caddy accepts its configuration (skipped where caddy is missing)", () => {
  const args = ["validate", "--adapter", "caddyfile", "--config", join(DEPLOY, "caddy/Caddyfile")];
  const { status, stderr } = spawnSync("caddy", args, { encoding: "utf8", env: { ...process.env, HOME: scratch() } });
  expect(status, stderr).toBe(0);
});
