import { type AdmissionState, INITIAL, type Input, isAllClosed, step, type Verdict } from "./admission-state.ts";
import { Answers } from "./answers.ts";
import type { Candidate } from "./circuit.ts";
import { Pass, type PassHost, type PassOptions } from "./pass.ts";
import { Places } from "./places.ts";
import { isSentAlone } from "./poison-detector.ts";
import { Probes } from "./probes.ts";
import { describeUnanswered, findUnanswered, findUnechoed, type Unanswered, type Unechoed } from "./unanswered.ts";
import { nextAction, type WaitingCommand, WaitingCommands, type WaitingState, type WaitingView } from "./waiting.ts";

/** After how long a command that could not be read is read again, ms. */
const READ_AGAIN_MS = 3000;

/** Where commands wait while the CAD cannot take them. Waiting costs no attempt. */
export interface Admission {
  /** A pass, or a promise that resolves when it is worth asking again; undefined if too many wait. */
  enter(id: string): Pass | Promise<void> | undefined;
  /** Every command may be sent now: `enter` returns a pass for each. */
  admitsAll(): boolean;
  /** As many wait as may: `enter` returns nothing, and those beyond are left in Redis. */
  isFull(): boolean;
  /** Why no command is sent at present, for people; undefined if some are. */
  closedBecause(): string | undefined;
  /** The CAD breaks the connection over whatever it is sent. */
  breaksConnection(): boolean;
  unanswered(): Unanswered | undefined;
  unechoed(): Unechoed[];
  /** To be called when something that `notReady` or `connection` depends on has changed. */
  update(): void;
}

export interface AdmissionOptions {
  /** What the connection waits for; undefined if it can take commands. */
  notReady(): string | undefined;
  /** Which connection this is: a new one may lead to a CAD that is well again. */
  connection(): number;
  /** What a command is about; undefined if its record is gone. */
  read(id: string): Promise<Candidate | undefined>;
  /** How long an answer is waited for, ms. */
  confirmMs: number;
  /** Aborted when the worker stops: then nothing may be sent any more. */
  signal: AbortSignal;
  random: () => number;
}

const now = () => performance.now();
/** ms since 1970 of a time by the process's clock. */
const toEpoch = (at: number) => Date.now() - (now() - at);

export const createAdmission = (options: AdmissionOptions): Admission => new AdmissionLoop(options);

/** Feeds the state machine of admission-state.ts, and gives passes to waiting commands when its state changes. */
class AdmissionLoop implements Admission {
  readonly #options: AdmissionOptions;
  readonly #answers: Answers;
  readonly #places: Places;
  readonly #host: PassHost;
  readonly #probes = new Probes();
  readonly #waiters = new WaitingCommands();
  #state: AdmissionState = INITIAL;
  /** The suspect that is in flight alone. */
  #loneSuspect: string | undefined;
  #connection: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#connection = options.connection();
    this.#answers = new Answers(options.confirmMs);
    this.#places = new Places(this.#answers);
    this.#host = {
      answers: this.#answers,
      places: this.#places,
      state: () => this.#state,
      feed: (input) => this.#feed(input),
      defer: (command) => void this.#wait(command.id, { is: "read", command }),
      released: (pass) => this.#released(pass),
      now,
      random: options.random,
    };
    options.signal.addEventListener("abort", () => this.update(), { once: true });
  }

  enter(id: string): Pass | Promise<void> | undefined {
    const granted = this.#waiters.takePass(id);
    if (granted) return granted;
    if (this.#options.signal.aborted) return Promise.resolve();
    this.#noteConnection();
    const isWaiting = this.#waiters.get(id) !== undefined;
    if (!isWaiting && this.#isOpen() && !this.#isHeldAsSuspect(id)) return this.#grant({ id });
    return this.isFull() && !isWaiting ? undefined : this.#wait(id, { is: "unread" });
  }

  admitsAll(): boolean {
    return this.#isOpen() && this.#state.suspects.size === 0 && this.#waiters.size === 0;
  }

  isFull(): boolean {
    return this.#waiters.isFull;
  }

  closedBecause(): string | undefined {
    const reason = this.#options.notReady();
    if (reason !== undefined) return reason;
    const { connection, everybody } = this.#state;
    if (connection.phase === "open") return "the CAD closes the connection on every command it receives";
    if (everybody.sets.phase === "closed" && everybody.adds.phase === "closed") return undefined;
    const found = this.unanswered();
    return found && `the CAD takes commands but confirms none: ${describeUnanswered(found)}`;
  }

  breaksConnection(): boolean {
    return this.#state.connection.phase === "open";
  }

  unanswered(): Unanswered | undefined {
    const counts = { waiting: this.#waiters.size, probes: this.#probes.size };
    return findUnanswered(this.#state, { ...counts, now: now(), toEpoch });
  }

  unechoed(): Unechoed[] {
    return findUnechoed(this.#state, toEpoch);
  }

  update(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#options.signal.aborted) for (const waiter of this.#waiters.all()) this.#waiters.end(waiter);
    this.#noteConnection();
    if (this.#options.notReady() !== undefined) return;
    const view = this.#view();
    const blocked: Candidate[] = [];
    for (const waiter of this.#waiters.all()) {
      const { id, state } = waiter;
      switch (nextAction(waiter, view)) {
        case "admit":
          this.#waiters.end(waiter, this.#grant({ id, command: state.is === "read" ? state.command : undefined }));
          break;
        case "read":
          void this.#read(waiter);
          break;
        case "probe":
          if (state.is === "read") blocked.push(state.command);
          break;
        case "stay":
      }
    }
    if (blocked.length > 0) this.#sendProbes(blocked);
  }

  #isOpen(): boolean {
    return this.#options.notReady() === undefined && isAllClosed(this.#state);
  }

  #isHeldAsSuspect(id: string): boolean {
    const isHeld = this.#loneSuspect !== undefined && this.#loneSuspect !== id;
    return isHeld && isSentAlone(this.#state.suspects, id);
  }

  #view(): WaitingView {
    return {
      state: this.#state,
      isAllClosed: isAllClosed(this.#state),
      hasPlace: (command) => this.#places.has(command),
      isHeldAsSuspect: (id) => this.#isHeldAsSuspect(id),
    };
  }

  #feed(input: Input): Verdict {
    const { state, verdict } = step(this.#state, input);
    if (state !== this.#state) this.#schedule();
    this.#state = state;
    return verdict;
  }

  #noteConnection(): void {
    const connection = this.#options.connection();
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.#feed({ type: "reconnected", now: now() });
  }

  #grant(options: Omit<PassOptions, "alone">): Pass {
    const alone = isSentAlone(this.#state.suspects, options.id);
    if (alone) this.#loneSuspect = options.id;
    return new Pass(this.#host, { ...options, alone });
  }

  #released({ id, alone, probe }: Pass): void {
    if (alone && this.#loneSuspect === id) this.#loneSuspect = undefined;
    if (probe) this.#probes.remove(probe);
    if (this.#waiters.size > 0) this.#schedule();
  }

  #wait(id: string, state: WaitingState): Promise<void> {
    const present = this.#waiters.get(id);
    if (present) return present.ended;
    this.#schedule();
    return this.#waiters.add(id, state).ended;
  }

  /** Once for everything that changes in one turn of the event loop, and again when the next probes may go. */
  #schedule(inMs = 0): void {
    if (inMs === 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.update(), 0);
    } else this.#timer ??= setTimeout(() => this.update(), inMs).unref();
  }

  async #read(waiter: WaitingCommand): Promise<void> {
    waiter.state = { is: "reading" };
    const command = await this.#options.read(waiter.id).catch(() => "failed" as const);
    if (this.#waiters.get(waiter.id) !== waiter) return;
    if (command === undefined) return this.#waiters.end(waiter, this.#grant({ id: waiter.id }));
    waiter.state = command === "failed" ? { is: "unread" } : { is: "read", command };
    this.#schedule(command === "failed" ? READ_AGAIN_MS : 0);
  }

  #sendProbes(blocked: readonly Candidate[]): void {
    const time = now();
    const isKnown = (command: Candidate) => this.#answers.isKnown(command);
    const { probes, nextAt } = this.#probes.choose(blocked, { state: this.#state, now: time, isKnown });
    for (const probe of probes) {
      const waiter = this.#waiters.get(probe.command.id);
      if (!waiter) continue;
      this.#probes.add(probe);
      this.#waiters.end(waiter, this.#grant({ id: waiter.id, command: probe.command, probe }));
    }
    if (nextAt < Infinity) this.#schedule(Math.max(1, Math.ceil(nextAt - time)));
  }
}
