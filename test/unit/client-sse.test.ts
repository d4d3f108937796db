import { expect, test } from "vitest";
import { createSseParser } from "../../client/sse.ts";

const STREAM =
  '\uFEFF: a comment\nretry: 1000\n\nevent: unit:status:updated\ndata: {"n":1}\nid: 1-0\n\n' +
  "data:first\r\ndata: second\r\nid\r\n\r\nevent: nothing\rid: 2-0\r\rdata: last\nid: 3-0\n\ndata: cut";

const EVENTS = [
  { event: "unit:status:updated", data: '{"n":1}', id: "1-0" },
  { event: "message", data: "first\nsecond", id: "" },
  { event: "message", data: "last", id: "3-0" },
];

test("reads the events of a stream, whatever pieces it comes in", () => {
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const parse = createSseParser();
    expect([...parse(STREAM.slice(0, cut)), ...parse(STREAM.slice(cut))], `cut at ${cut}`).toEqual(EVENTS);
  }
  const parse = createSseParser();
  expect(STREAM.split("").flatMap((character) => parse(character))).toEqual(EVENTS);
});

test.each([
  ["one line", "data: " + "x".repeat(1024 * 1024)],
  ["many lines", `data: ${"x".repeat(1000)}\n`.repeat(1000)],
])("refuses an event without end, in %s", (_what, piece) => {
  const parse = createSseParser();
  expect(() => {
    for (let n = 0; n < 20; n += 1) parse(piece);
  }).toThrow(RangeError);
});
