import { Hono } from "hono";
import { expect, test } from "vitest";
import type { CallerEnv } from "../../functions/http/caller.ts";
import { Problem } from "../../functions/http/problem.ts";
import { limitConcurrentReads } from "../../functions/middleware/concurrent-reads.ts";

/** An app whose reads last until they are let go. */
function reads(most: number) {
  const waiting: (() => void)[] = [];
  const app = new Hono<CallerEnv>();
  app.onError((error) => (error instanceof Problem ? error.toResponse() : new Response(null, { status: 500 })));
  app.use(async (c, next) => {
    c.set("caller", { userId: c.req.header("who") ?? "", role: "admin", roles: ["admin"] });
    await next();
  });
  app.get("/list", limitConcurrentReads(most), async (c) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    if (c.req.query("fail") !== undefined) throw new Error("it failed");
    return c.body(null, 204);
  });
  return {
    ask: async (who: string, query = "") => await app.request(`/list${query}`, { headers: { who } }),
    letGo: () => waiting.splice(0).forEach((go) => go()),
  };
}

test("a subject reads so many lists at once, another as many again; one that ended or failed makes room", async () => {
  const { ask, letGo } = reads(2);
  const first = [ask("a"), ask("a", "?fail")];
  const refused = await ask("a");
  expect(refused.status).toBe(429);
  expect(refused.headers.get("Retry-After")).toBe("1");
  expect(await refused.json()).toMatchObject({ code: "too-many-reads", most: 2 });
  const other = ask("b");
  letGo();
  expect((await Promise.all([...first, other])).map((r) => r.status)).toEqual([204, 500, 204]);
  const again = [ask("a"), ask("a")];
  letGo();
  expect((await Promise.all(again)).map((r) => r.status)).toEqual([204, 204]);
});

test("a limit of 0 is none", async () => {
  const { ask, letGo } = reads(0);
  const many = Array.from({ length: 20 }, () => ask("a"));
  letGo();
  expect(new Set((await Promise.all(many)).map((r) => r.status))).toEqual(new Set([204]));
});
