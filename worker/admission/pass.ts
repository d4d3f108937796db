import type { Proof } from "../../shared/commands/proof.ts";
import { type AdmissionState, type Input, isUnechoed, type Verdict } from "./admission-state.ts";
import type { Answers } from "./answers.ts";
import type { Candidate } from "./circuit.ts";
import type { Places } from "./places.ts";
import type { Probe } from "./probes.ts";

/** What passes share with the admission that grants them. */
export interface PassHost {
  readonly answers: Answers;
  readonly places: Places;
  state(): AdmissionState;
  feed(input: Input): Verdict;
  /** The command has to wait after all. */
  defer(command: Candidate): void;
  released(pass: Pass): void;
  now(): number;
  random(): number;
}

export interface PassOptions {
  id: string;
  /** What it is about, if that is known already: its place among those of its caller is taken at once then. */
  command?: Candidate | undefined;
  probe?: Probe | undefined;
  /** It is sent while no other suspect is. */
  alone: boolean;
}

/**
 * Permission to send one command once.
 *
 * | state | method | next |
 * | --- | --- | --- |
 * | granted | `start`: its caller has a place free | started |
 * | | `start`: it has none | granted, and the command waits |
 * | started | `proved`, `missed`, `broke` | started; the machine of admission-state.ts is fed |
 * | any | `release` | released: its places are free again |
 */
export class Pass {
  readonly id: string;
  /** It is sent to see whether the CAD answers: if the connection breaks, that says nothing of this command. */
  readonly probe: Probe | undefined;
  readonly alone: boolean;
  readonly #host: PassHost;
  /** Whose place among commands about unknown units and incidents it holds. */
  #place: string | undefined;
  #started: { command: Candidate; at: number; answersBefore: number } | undefined;
  #isReleased = false;

  constructor(host: PassHost, { id, command, probe, alone }: PassOptions) {
    this.#host = host;
    this.id = id;
    this.probe = probe;
    this.alone = alone;
    if (command && !probe) this.#place = host.places.take(command);
  }

  /** To be called right before the send. False: the command has to wait after all, and is not to be sent. */
  start(command: Candidate): boolean {
    const { answers, places, defer, now } = this.#host;
    if (!this.probe && this.#place === undefined) {
      if (!places.has(command)) {
        defer(command);
        return false;
      }
      this.#place = places.take(command);
    }
    this.#started = { command, at: now(), answersBefore: answers.count };
    return true;
  }

  /** This CAD never echoes the event: its confirmation is waited for only briefly. */
  isUnechoed(): boolean {
    return this.#started !== undefined && isUnechoed(this.#host.state(), this.#started.command.event);
  }

  proved(proof: Proof): void {
    if (!this.#started) return;
    const { command, at } = this.#started;
    const { answers, feed } = this.#host;
    feed({ type: "proved", command, proof: answers.noteProof(command, proof, at) });
  }

  /** The CAD's process has it, but the expected ack or echo did not come. */
  missed(): Verdict {
    if (!this.#started) return "none";
    const { command, at } = this.#started;
    const { answers, feed, now, random } = this.#host;
    const known = answers.isKnown(command);
    answers.noteMiss();
    const answered = answers.hasLater(command.effect, at);
    const alone = answers.hasLater(command.effect, answers.firstSent(command, at));
    return feed({ type: "missed", command, known, answered, alone, now: now(), roll: random() });
  }

  /** The connection ended with it in flight. */
  broke(): Verdict {
    if (!this.#started) return "none";
    const { command, answersBefore } = this.#started;
    const { answers, feed, now, random } = this.#host;
    const { alone, probe } = this;
    const answered = answers.count !== answersBefore;
    return feed({
      type: "broke",
      command,
      alone,
      probe: probe !== undefined,
      answered,
      now: now(),
      roll: random(),
    });
  }

  /** To be called at the end, whatever came of it. Idempotent. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#place !== undefined) this.#host.places.release(this.#place);
    this.#host.released(this);
  }
}
