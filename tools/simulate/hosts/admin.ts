import type { Clients } from "./client.ts";
import type { FunctionsHost } from "./functions-host.ts";
import type { World } from "../world/world.ts";

/** How often somebody looks at the dead letters, ms. */
const LOOK_MS = 1500;
/** Of those that hold their place, this part is sent again; the others are discarded. */
const REDRIVEN = 0.6;

/** Somebody who handles each dead letter that holds its place: sends it again, or discards it. */
export function startAdmin(world: World, functions: FunctionsHost, clients: Clients): void {
  const admin = { user: "admin", role: "admin" } as const;
  let asked = 0;

  function handle(id: string): void {
    asked += 1;
    const newId = `r${asked}-1`;
    if (world.roll("admin") >= REDRIVEN)
      return functions.ask({ ...admin, method: "DELETE", path: `/dead-letters/${id}`, newId }, () => undefined);
    functions.ask({ ...admin, method: "POST", path: `/dead-letters/${id}/redrive`, newId }, ({ status, body }) => {
      if (status === 202) clients.redriven(id, String(body["command_id"]));
    });
  }
  function look(): void {
    functions.ask({ ...admin, method: "GET", path: "/dead-letters", newId: `look-${world.now}` }, ({ body }) => {
      const letters = (body["dead_letters"] ?? []) as { command_id: string; held?: boolean }[];
      for (const { command_id: id, held } of letters) if (held) handle(id);
    });
    world.after(LOOK_MS, "", undefined, look);
  }
  world.after(LOOK_MS, "", undefined, look);
}
