import { Parser } from "@asyncapi/parser";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { commands } from "../../shared/commands/table.ts";
import { events } from "../../shared/events/table.ts";
import { BRIDGE_EVENTS } from "../../shared/journal/entry.ts";
import { startBridge } from "../support/bridge.ts";

interface Message {
  name: string;
  payload: Record<string, unknown>;
  examples: { payload: unknown }[];
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

const operationsOf = (document: Document, action: string) =>
  Object.values(document.operations)
    .filter((operation) => operation.action === action)
    .map(({ title }) => title)
    .toSorted();

describe("GET /asyncapi.json", () => {
  test("its own parser finds nothing wrong with it", async () => {
    const { document } = await read();
    const { diagnostics } = await new Parser().parse(JSON.stringify(document));
    expect(diagnostics).toEqual([]);
  });

  test("it tells of every command and every event of the tables, and of the bridge's own", async () => {
    const { document } = await read();
    const own = Object.values(BRIDGE_EVENTS);
    const emitted = commands.flatMap(({ emits }) => emits);
    expect(operationsOf(document, "send")).toEqual(
      [...emitted, ...own, "events:replay", "fastapi:authenticate"].toSorted(),
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
    const { bridge, document } = await read({});
    const { messages } = document.components;
    const told = (action: string, event: string) =>
      Object.entries(messages).find(([key, { name }]) => key.startsWith(action) && name === event)?.[1];
    for (const command of commands) {
      for (const { body } of command.examples) await bridge.deliver(`/${command.name}`, body);
    }
    const got = bridge.cad.ledger.entries().filter(({ event }) => !event.startsWith("fastapi:"));
    expect(new Set(got.map(({ event }) => event))).toEqual(new Set(commands.flatMap(({ emits }) => emits)));
    for (const { event, payload } of got) expect(wrongWith(told("send", event), payload), event).toBeUndefined();
  });
});
