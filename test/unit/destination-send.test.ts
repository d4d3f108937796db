import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { NotOwner } from "../../shared/outbox/owned.ts";
import { createSender, classifyResponse } from "../../worker/destinations/send.ts";
import { newSecret, startReceiver } from "../../tools/support/receiver.ts";

const BODY = JSON.stringify({ id: "1-0", source: "urn:x", data: { text: "ä 🚑" } });
const NOW = new Date("2026-01-31T22:00:00Z");

async function senderTo(url: string, secrets: string[], timeoutMs = 2000) {
  const sender = createSender({ url, secrets, headers: {}, timeoutMs }, true, 4);
  onTestFinished(() => sender.close());
  return sender;
}

test("while secrets rotate, both sign: a receiver with either verifies", async () => {
  const [old, next] = [newSecret(), newSecret()];
  for (const secret of [old, next]) {
    const receiver = await startReceiver({ secret });
    onTestFinished(() => receiver.stop());
    const sender = await senderTo(receiver.url, [old, next]);
    expect(await sender.send(BODY)).toEqual({ result: "ok", status: expect.any(Number) });
    expect(receiver.received[0]?.verified).toBe(true);
    expect(String(receiver.received[0]?.headers["webhook-signature"]).split(" ")).toHaveLength(2);
    const stranger = await senderTo(receiver.url, [newSecret()]);
    await stranger.send(BODY);
    expect(receiver.received[1]?.verified).toBe(false);
  }
});

test("the signature covers the attributes of the event, not its data alone", async () => {
  const secret = newSecret();
  const receiver = await startReceiver({ secret });
  onTestFinished(() => receiver.stop());
  await (await senderTo(receiver.url, [secret])).send(BODY);
  const headers = receiver.received[0]?.headers as Record<string, string>;
  expect(() => new Webhook(secret).verify(BODY, headers)).not.toThrow();
  expect(() => new Webhook(secret).verify(BODY.replace("1-0", "1-1"), headers)).toThrow("No matching signature");
});

test.each([
  [200, undefined, { result: "ok" }],
  [204, undefined, { result: "ok", status: 204 }],
  [299, "5", { result: "ok" }],
  [301, undefined, { result: "failed", unreachable: false }],
  [304, undefined, { result: "failed" }],
  [400, undefined, { result: "failed", unreachable: false }],
  [404, "5", { result: "failed" }],
  [410, undefined, { result: "gone" }],
  [429, undefined, { result: "busy", inMs: 10_000 }],
  [429, "7", { result: "busy", inMs: 7000 }],
  [429, "soon", { result: "busy", inMs: 10_000 }],
  [429, "-5", { result: "busy" }],
  [429, "Sat, 31 Jan 2026 22:00:09 GMT", { result: "busy", inMs: 9000 }],
  [429, "Sat, 31 Jan 2026 21:00:00 GMT", { result: "busy", inMs: 0 }],
  [503, "7", { result: "busy", inMs: 7000 }],
  [503, undefined, { result: "failed" }],
  [500, "7", { result: "failed" }],
])("%i with Retry-After %s is %o", (status, after, expected) => {
  expect(classifyResponse(status, after, NOW)).toMatchObject(expected);
});

test("an answer that never ends is not read to its end", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200);
    const writing = setInterval(() => response.write("x".repeat(50_000)), 1);
    response.on("close", () => clearInterval(writing));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const sender = await senderTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, [newSecret()], 10_000);
  const started = performance.now();
  expect(await sender.send(BODY)).toEqual({ result: "ok", status: expect.any(Number) });
  expect(performance.now() - started).toBeLessThan(5000);
});

test("no answer within its time is a failure that the message is not to blame for", async () => {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.stop());
  receiver.answer("hang");
  const sender = await senderTo(receiver.url, [receiver.secret], 200);
  expect(await sender.send(BODY)).toEqual({
    result: "failed",
    status: null,
    reason: "it did not answer within 200 ms",
    unreachable: true,
  });
  await receiver.stop();
  expect(await sender.send(BODY)).toMatchObject({
    result: "failed",
    reason: expect.stringMatching(/cannot be reached/),
  });
});

test("a worker that may have lost the CAD while it waited for a connection sends nothing on it, and blames nobody", async () => {
  const receiver = await startReceiver();
  onTestFinished(() => receiver.stop());
  let owner = true;
  const target = { url: receiver.url, secrets: [receiver.secret], headers: {}, timeoutMs: 2000 };
  const sender = createSender(target, true, 4, () => owner);
  onTestFinished(() => sender.close());
  const sent = sender.send(BODY);
  owner = false;
  await expect(sent).rejects.toBeInstanceOf(NotOwner);
  owner = true;
  expect(await sender.send(BODY)).toEqual({ result: "ok", status: expect.any(Number) });
  expect(receiver.received).toHaveLength(1);
});
