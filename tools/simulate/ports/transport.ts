import type { ConnectionInfo, Transport, TransportEvents } from "../../../worker/cad/transport.ts";
import { CadHost, type Wire } from "../hosts/cad-host.ts";
import { theProcess } from "../world/world.ts";

/** Stands in the place of worker/cad/transport.ts in the simulation: frames to a CAD in the same world. */
export function createTransport(_endpoint: unknown, on: TransportEvents): Transport & ConnectionInfo {
  const process = theProcess();
  const { world } = process;
  const host = world.part(CadHost);
  const acks = new Set<(error: Error | null, answer: unknown) => void>();
  let wire: Wire | undefined;
  let barrierAnswered: (() => void) | undefined;

  function ended(reason: string): void {
    wire = undefined;
    barrierAnswered = undefined;
    on.disconnected(reason);
    for (const answered of [...acks]) answered(new Error("socket has been disconnected"), undefined);
  }

  function close(): void {
    const present = wire;
    if (!present) return;
    present.hangUp();
    ended("io client disconnect");
  }

  return {
    connect(token) {
      const mine = host.dial(process, token, {
        opened: (recovered) => on.connected(recovered),
        refused: (reason) => {
          wire = undefined;
          on.refused(reason);
        },
        ended: (reason) => wire === mine && ended(reason),
        event: (event, payload, missed) => {
          on.event(event, payload, missed).catch(() => close());
        },
        barrier() {
          const answered = barrierAnswered;
          barrierAnswered = undefined;
          answered?.();
        },
      });
      wire = mine;
    },
    emit(event, payload, ack) {
      if (!wire?.isOpen()) return ack?.answered(new Error("not connected"), undefined);
      if (!ack) return wire.send(event, payload);
      const answered = (error: Error | null, answer: unknown) => {
        if (!acks.delete(answered)) return;
        clearTimeout(timer);
        ack.answered(error, answer);
      };
      acks.add(answered);
      const timer = setTimeout(() => answered(new Error("operation has timed out"), undefined), ack.ackMs);
      wire.send(event, payload, (answer) => answered(null, answer));
    },
    barrier(answered) {
      barrierAnswered = answered;
      wire?.barrier();
    },
    close,
    leave: close,
    fault: () => undefined,
    handshake: () => undefined,
    via: () => (wire?.isOpen() ? "simulation" : undefined),
  };
}
