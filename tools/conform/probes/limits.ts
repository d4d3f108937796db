import { grade, type Probe } from "./probe.ts";

/** What the server says of itself in the Engine.IO handshake. */
export const limits: Probe = {
  title: "ping and payload limits",
  writes: false,
  async run({ client }) {
    const { handshake, via = "unknown" } = client;
    if (!handshake) return { grades: [grade("handshake", "unknown", "the server's handshake was not seen")] };
    const { pingInterval, pingTimeout, maxPayload } = handshake;
    const noticed = Math.round((pingInterval + pingTimeout) / 1000);
    return {
      grades: [
        grade("transport", "yes", `connected by ${via}`),
        grade(
          "ping",
          "yes",
          `every ${pingInterval} ms, timeout ${pingTimeout} ms: by it alone a hang shows after ${noticed} s`,
        ),
        maxPayload === undefined
          ? grade("payload limit", "unknown", "the server does not say how large a message may be")
          : grade("payload limit", "yes", `a message may have ${maxPayload} bytes; a larger one ends the connection`),
      ],
    };
  },
};
