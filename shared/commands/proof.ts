import { commandNamed } from "./table.ts";

/**
 * What is known of a command's delivery, strongest first. `acknowledged`: the CAD acked it. `echoed`: the CAD broadcast it, which it
 * does after its database write. `relayed`: the CAD forwarded it to its connected clients; it need not have stored it, nor anyone
 * received it. `received`: the CAD's process has it, and nothing more is known.
 */
export const PROOFS = ["acknowledged", "echoed", "relayed", "received"] as const;
export type Proof = (typeof PROOFS)[number];

/** What ended the wait for a confirmation, as stored. Earlier versions stored `barrier` as `fence`. */
export const CONFIRMED_BY = ["ack", "echo", "barrier"] as const;
export type ConfirmedBy = (typeof CONFIRMED_BY)[number];

const byOf = (stored: string): ConfirmedBy | undefined =>
  stored === "fence" ? "barrier" : CONFIRMED_BY.find((by) => by === stored);

/** What a stored confirmation proves. For a command unknown to this version, an echo only proves receipt. */
export function proofOf(command: string, stored: string): { by: ConfirmedBy; proof: Proof } | undefined {
  const by = byOf(stored);
  if (by === undefined) return undefined;
  return { by, proof: by === "ack" ? "acknowledged" : by === "barrier" ? "received" : echoProof(command) };
}

function echoProof(command: string): Proof {
  const proves = commandNamed(command)?.echo?.proves;
  return proves === "write" ? "echoed" : proves === "relay" ? "relayed" : "received";
}
