import { Parser } from "@asyncapi/parser";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { z } from "zod";
import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { startBridge } from "../support/bridge.ts";
import { startReceiver } from "../../tools/support/receiver.ts";
import { until } from "../../tools/support/until.ts";

interface Message {
  name: string;
  payload: Record<string, unknown>;
  examples: { payload: unknown }[];
}
interface Entry {
  event: string;
  kind: string;
  payload: unknown;
}
interface Document {
  channels: Record<string, { address: string; messages: Record<string, unknown> }>;
  operations: Record<string, { action: string; title: string; reply?: { messages: { $ref: string }[] } }>;
  components: { messages: Record<string, Message> };
}

const read = async (options: Parameters<typeof startBridge>[0] = { worker: false }) => {
  const bridge = await startBridge(options);
  const { status, body } = await bridge.get("/asyncapi.json", { Authorization: "" });
  expect(status).toBe(200);
  return { bridge, document: body as unknown as Document };
};

/** What is wrong with a payload by the document's own schema; undefined if nothing is. */
const wrongWith = (message: Message | undefined, payload: unknown) =>
  z.fromJSONSchema(message?.payload ?? { not: {} }).safeParse(payload).error?.issues;

const TO_SERVICES = ["event", "webhook"];

const operationsOf = (document: Document, action: string) =>
  Object.values(document.operations)
    .filter((operation) => operation.action === action)
    .map(({ title }) => title)
    .toSorted();

describe("GET /asyncapi.json", () => {
  // The document is the same on both hosts, and parsing takes half a minute.
  test.runIf(inject("host") === "node")("its own parser finds nothing wrong with it", async () => {
    const { document } = await read();
    const { diagnostics } = await new Parser().parse(JSON.stringify(document));
    expect(diagnostics).toEqual([]);
  });

  test("it tells of every command and every event of the tables, and of the bridge's own", async () => {
    const { document } = await read();
    const own = Object.values(BRIDGE_EVENTS);
    const emitted = commands.flatMap(({ emits }) => emits);
    expect(operationsOf(document, "send")).toEqual(
      [...emitted, ...own, ...TO_SERVICES, "events:replay", "fastapi:authenticate"].toSorted(),
    );
    expect(operationsOf(document, "receive")).toEqual([...events.map((e) => e.name), "authenticated"].toSorted());
    expect(Object.keys(document.channels["unitRoom"]?.messages ?? {})).toEqual(["receiveAssignmentReceived"]);
  });

  test("every example is what its schema says, and a payload that is not is told apart", async () => {
    const { document } = await read();
    for (const message of Object.values(document.components.messages)) {
      expect(message.examples.length, message.name).toBeGreaterThan(0);
      for (const { payload } of message.examples) expect(wrongWith(message, payload), message.name).toBeUndefined();
      expect(wrongWith(message, 7), message.name).toBeDefined();
    }
  });

  test("what the CAD gets and what it broadcasts for it is what the document says", async () => {
    const epcr = await startReceiver();
    onTestFinished(() => epcr.stop());
    const { bridge, document } = await read({
      worker: { EPCR_API_URL: epcr.url, EPCR_WEBHOOK_SECRET: epcr.secret, ALLOW_PRIVATE_DESTINATIONS: "true" },
    });
    const { messages } = document.components;
    const told = (action: string, event: string) =>
      Object.entries(messages).find(([key, { name }]) => key.startsWith(action) && name === event)?.[1];
    for (const command of commands) {
      for (const { body } of command.examples) await bridge.deliver(`/${command.name}`, body);
    }
    const got = bridge.cad.ledger.entries().filter(({ event }) => !event.startsWith("fastapi:"));
    expect(new Set(got.map(({ event }) => event))).toEqual(new Set(commands.flatMap(({ emits }) => emits)));
    for (const { event, payload } of got) expect(wrongWith(told("send", event), payload), event).toBeUndefined();
    // And so are the journal's entries, the bridge's own among them: one of the examples has the highest priority.
    const entries = await until("the bridge has said something itself", async () => {
      const { events: found } = (await bridge.get("/events/history?limit=100")).body as { events: Entry[] };
      return found.some(({ kind }) => kind === "bridge") && found;
    });
    for (const entry of entries) {
      const message = told("send", entry.event.startsWith("bridge:") ? entry.event : "event");
      expect([entry.event, wrongWith(message, entry)]).toEqual([entry.event, undefined]);
      if (entry.kind !== "event") continue;
      expect([entry.event, wrongWith(told("receive", entry.event), entry.payload)]).toEqual([entry.event, undefined]);
    }
    const [webhook] = await until("a service has got one", () => epcr.accepted().length > 0 && epcr.accepted());
    expect(wrongWith(told("send", "webhook"), webhook?.event)).toBeUndefined();
  });
});
