import { randomBytes } from "node:crypto";
import { BROADCAST_EVENT } from "./cad.ts";

/** A routes file by which each of `count` destinations gets every unit status, at a path of one receiver. */
export const routesTo = (port: number, count: number) => {
  const ids = Array.from({ length: count }, (_, i) => `bench-${i}`);
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  return {
    destinations: ids.map((id) => ({ id, url: `http://127.0.0.1:${port}/${id}`, secret })),
    rules: [{ to: ids, events: BROADCAST_EVENT }],
  };
};
