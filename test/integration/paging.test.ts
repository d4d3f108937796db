import { expect, onTestFinished, test } from "vitest";
import { until } from "../../tools/support/until.ts";
import { withDestinations } from "../support/destinations.ts";
import { startHttp } from "../support/http-sink.ts";

const SECRET = "a-secret-of-this-url";

test("a problem is reported once when it opens and once when it is resolved, past a take-over; and silence tells that all is not well", async () => {
  const [alerts, heartbeat] = [await startHttp(), await startHttp()];
  onTestFinished(async () => void (await Promise.all([alerts.stop(), heartbeat.stop()])));
  const worker = {
    ALERT_URL: `${alerts.url}/hook?token=${SECRET}`,
    ALERT_AFTER_S: "1",
    HEARTBEAT_URL: `${heartbeat.url}/${SECRET}`,
    HEARTBEAT_EVERY_S: "1",
  };
  const rules = [{ events: ["bridge:problem:*"], to: "board" }];
  const { bridge, receivers, env } = await withDestinations(["board"], rules, {}, { worker });
  const told = () => receivers.board.accepted().map(({ type }) => type);
  const alerted = () => alerts.taken().map(({ body }) => (body as { type: string }).type);
  await until("the heartbeat beats", () => heartbeat.requests.length > 1);

  alerts.answer(503);
  bridge.cad.switches.refuseToken = true;
  bridge.cad.dropConnections();
  await until("the destination is told", () => told().length === 1);
  await until("the alert was refused", () => alerts.requests.length > 0);
  const beats = heartbeat.requests.length;
  alerts.answer(200);
  await until("the alert is tried again", () => alerted().length === 1);

  await bridge.worker()?.stop();
  await bridge.startWorker(env);
  await until("the next worker sees it too", async () => {
    const { body } = await bridge.get("/health");
    return (body["problems"] as { code: string }[]).some(({ code }) => code === "cad-disconnected");
  });
  bridge.cad.switches.refuseToken = false;
  await until("it is resolved", () => told().length > 1 && alerted().length > 1, 20_000);
  const both = ["bridge:problem:opened", "bridge:problem:resolved"];
  expect(told()).toEqual(both);
  expect(alerted()).toEqual(both);
  expect(receivers.board.accepted()[0]?.data).toMatchObject({ code: "cad-disconnected", severity: "warning" });
  await until("the heartbeat beats again", () => heartbeat.requests.length > beats);
  expect(JSON.stringify(bridge.logs)).not.toContain(SECRET);
});
