import { randomUUID } from "node:crypto";
import { grade, type Probe } from "./probe.ts";

const ACK_MS = 1500;

/** Joins and leaves the room of a unit that does not exist: affects this connection only. */
export const rooms: Probe = {
  title: "rooms",
  writes: false,
  async run({ client }) {
    const room = randomUUID();
    const joined = await client.ask("join:unit", room, ACK_MS);
    const left = await client.ask("leave:unit", room, ACK_MS);
    const both = joined !== undefined && left !== undefined;
    return {
      grades: [
        grade("join and leave are acked", both ? "yes" : "no", both ? "each was acked" : `no ack within ${ACK_MS} ms`),
        grade("rooms after a reconnect", "unknown", "not tested: the bridge rejoins its rooms on every connection"),
      ],
    };
  },
};
