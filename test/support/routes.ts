import { type AppDeps, BASE_PATH, createApp } from "../../functions/app.ts";
import { commands } from "../../shared/commands/table.ts";
import { ENDPOINTS, type Role } from "../../shared/vocabulary/roles.ts";
import { keptLog } from "./log.ts";

/** A route that the app really has, and what its tables say of it. */
export interface AppRoute {
  /** As in the tables: `GET /commands/{id}`. */
  name: string;
  method: string;
  /** A path that it takes; an id in it is nobody's. */
  path: string;
  /** undefined if no table says who may. */
  takes: Role | "public" | undefined;
  body: Record<string, unknown> | undefined;
}

/** Of an app that is only looked at, and never asked: what it would need for that is not there. */
const NEVER_ASKED = {
  corsOrigins: [],
  streams: {},
  quotas: {},
  now: () => new Date(),
  log: keptLog().log,
} as unknown as AppDeps;

/** Every route of the app, read from the app itself: one that is added is here by that. */
export function appRoutes(): AppRoute[] {
  const names = createApp(NEVER_ASKED)
    .routes.filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path.slice(BASE_PATH.length).replaceAll(/:(\w+)/g, "{$1}")}`);
  return [...new Set(names)].map(toRoute);
}

const roles = new Map<string, Role | "public">([
  ...Object.entries(ENDPOINTS),
  ...commands.map(({ name, role }) => [`POST /${name}`, role] as const),
]);

/** What those that are no commands cannot do without. */
const BODIES: Record<string, Record<string, unknown>> = {
  "POST /dead-letters/{id}/reveal": { reason: "to see who may" },
  "POST /destinations/{id}/replay": { from: "2026-01-31T22:05:00Z" },
};

function toRoute(name: string): AppRoute {
  const [method = "", path = ""] = name.split(" ");
  const command = commands.find((c) => path === `/${c.name}`);
  return {
    name,
    method,
    path: path.replaceAll(/\{\w+\}/g, "nobodys"),
    takes: roles.get(name),
    body: method === "POST" ? (command?.examples[0].body ?? BODIES[name] ?? {}) : undefined,
  };
}
