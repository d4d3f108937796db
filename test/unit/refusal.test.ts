import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { type AppDeps, createApp } from "../../functions/app.ts";
import { UNLIMITED } from "../../functions/config/quotas.ts";
import { Problem } from "../../functions/http/problem.ts";
import { keptLog } from "../support/log.ts";

/** An app whose audit entries are stored when `store` is called. */
function withSlowTrail(more: Partial<AppDeps> = {}) {
  const { promise, resolve: store } = Promise.withResolvers<void>();
  const noted: string[] = [];
  const backend = {
    note: async (_note: unknown, outcome: string) => {
      noted.push(outcome);
      await promise;
    },
  };
  const app = createApp({
    ...{ corsOrigins: [], streams: {}, now: () => new Date(), newId: () => "id", monotonic: () => performance.now() },
    ...{ quotas: UNLIMITED, clientAddress: () => "127.0.0.1", log: keptLog().log, measure: { count: () => undefined } },
    authenticate: async () => {
      throw new Problem("unauthenticated", "No token.");
    },
    backend,
    ...more,
  } as unknown as AppDeps);
  return { ask: () => app.request("/api/socket-bridge/units"), noted, store };
}

test("a host that can work on after a response answers a refusal before its audit entry is stored", async () => {
  const tasks: Promise<void>[] = [];
  const { ask, noted, store } = withSlowTrail({ afterResponse: (_c, task) => void tasks.push(task) });
  expect((await ask()).status).toBe(401);
  expect(noted).toEqual(["unauthenticated"]);
  expect(await Promise.race([tasks[0], Promise.resolve("not stored")])).toBe("not stored");
  store();
  await tasks[0];
});

test("any other host stores the audit entry first", async () => {
  const { ask, noted, store } = withSlowTrail();
  const answer = ask();
  await until("the entry is being stored", async () => noted.length === 1);
  expect(await Promise.race([answer, setImmediate("not answered")])).toBe("not answered");
  store();
  expect((await answer).status).toBe(401);
});
