import { type Random, seededRandom } from "../../tools/simulator/random.ts";
import type { Frame, Script } from "./hostile-cad.ts";

/** Frames that a CAD should not send, or nearly should. The same seed gives the same ones. */
export function fuzzedFrames(seed: number): { frame(): Frame; script(frames: number): Script } {
  const random = seededRandom(seed);
  const frame = () => pick(random, makers)(random);
  return {
    frame,
    script(count) {
      const frames = Array.from({ length: count }, frame);
      return { hangUpMs: 15, [pick(random, ["handshake", "connect", "ready", "ready", "ready"] as const)]: frames };
    },
  };
}

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
const many = (random: Random, max: number, one: () => string): string =>
  Array.from({ length: Math.floor(random() * max) }, one).join("");

const JSON_PARTS = [
  "null", "true", "0", "-1", "1e999", '""', '"x"', "[]", "{}", "[[]]", '{"toString":1,"valueOf":1}', '{"__proto__":{"a":1}}',
  '{"message":null}', '{"sid":"n"}', '{"sid":{"toString":1}}', '["unit:status:updated",{"unitId":{"toString":1}}]', '["connect"]',
  '["authenticated",null]', '["authenticated",{"success":{"toString":1}}]', "[1]", '["x"]', '["x",{"_placeholder":true,"num":0}]',
  '["x",{"_placeholder":true,"num":99}]', '["\\u0000",1]', '["__proto__",1]', '["x",[[[[[[]]]]]]]', "notjson", "[", '{"a":',
]; // prettier-ignore
const NAMESPACES = ["", "", "", "/socket-bridge-barrier,", "/,", "/other,", "/", ","];
const IDS = ["", "", "0", "1", "999999999999999999999", "-1", "1e3"];
const BYTES = '\u0000\u001e\ud800\n0123456789b{}[]",/-é';

const makers: readonly ((random: Random) => Frame)[] = [
  // Engine.IO packets of every type with anything in them.
  (random) => `${pick(random, "0123456789b".split(""))}${pick(random, JSON_PARTS)}`,
  // Socket.IO packets, mostly well-formed.
  (random) =>
    `4${pick(random, "0123456".split(""))}${pick(random, ["", "", "", "1-", "2-", "0-", "99-", "x-"])}${pick(random, NAMESPACES)}${pick(random, IDS)}${pick(random, JSON_PARTS)}`,
  // Nearly right ones with a character changed.
  (random) => {
    const right = pick(random, [
      '42["incident:new",{"incidentId":"I1"}]',
      '40{"sid":"n"}',
      '44{"message":"no"}',
      '430[{"success":true}]',
    ]);
    const at = Math.floor(random() * right.length);
    return right.slice(0, at) + pick(random, BYTES.split("")) + right.slice(at + 1);
  },
  (random) =>
    Buffer.from(
      many(random, 64, () => String.fromCharCode(Math.floor(random() * 256))),
      "latin1",
    ),
  (random) => many(random, 64, () => pick(random, BYTES.split(""))),
  // Deep nesting, and a long text.
  (random) => `42["deep",${"[".repeat(2000)}${"]".repeat(random() < 0.5 ? 2000 : 1999)}]`,
  (random) => `42["long","${"x".repeat(Math.floor(random() * 50_000))}"]`,
];
