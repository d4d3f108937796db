import type { Hono } from "hono";
import { CADS_ENDPOINTS, may } from "../../shared/vocabulary/roles.ts";
import type { CallerEnv } from "../http/caller.ts";
import { type Authenticate, requireRole } from "../middleware/auth.ts";
import type { ListedCad } from "../routes/cads.ts";
import type { Health } from "../routes/health.ts";
import { admits, type CadOfApi } from "./choose.ts";

/** GET /cads: which CADs there are, and how each is. */
export function serveCadList(
  app: Hono<CallerEnv>,
  deps: { cads: readonly CadOfApi[]; authenticate: Authenticate; healthOf(cad: CadOfApi): Promise<Health> },
): void {
  const { cads, authenticate, healthOf } = deps;
  app.get("/cads", requireRole(authenticate, CADS_ENDPOINTS["GET /cads"]), async (c) => {
    const caller = c.get("caller");
    const mine = cads.filter((one) => admits(one, caller));
    const list = mine.map(async (one): Promise<ListedCad> => {
      const { status, bridge, worker } = await healthOf(one);
      return {
        ...{ id: one.id, path: one.basePath, status, ready: bridge.ready },
        ...(may(caller.roles, "dispatcher") && { owns: ownsOf(one) }),
        ...(may(caller.roles, "admin") && { leader: worker.instance }),
      };
    });
    return c.json({ cads: await Promise.all(list) });
  });
}

const ownsOf = ({ owns }: CadOfApi): ListedCad["owns"] =>
  owns === "everything" ? owns : { units: owns.units ?? [], organisations: owns.organisations ?? [] };
