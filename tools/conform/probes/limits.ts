import { grade, type Probe } from "./probe.ts";

/** The limits that the server announces in the Engine.IO handshake. */
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
          `every ${pingInterval} ms, timeout ${pingTimeout} ms: this alone detects a hang after ${noticed} s`,
        ),
        maxPayload === undefined
          ? grade("payload limit", "unknown", "the server does not announce one")
          : grade("payload limit", "yes", `${maxPayload} bytes per message; a larger one ends the connection`),
      ],
    };
  },
};
