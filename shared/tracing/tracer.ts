/** Every span of the bridge, and its kind: what docs/operations.md lists under Traces. */
export const SPANS = {
  /** A POST of a command, from its first byte to the answer. */
  request: "server",
  /** The step that stores it in Redis. Its context is stored with the command. */
  append: "producer",
  /** One sending of the command to the CAD. */
  emit: "client",
  /** From the emit until its ack, echo or barrier, or until that is given up. */
  proof: "internal",
  /** From the arrival of an event until it is in the journal. Its context is stored with the entry. */
  journal: "consumer",
  /** One attempt to post an event to a destination. */
  webhook: "client",
} as const;
export type SpanName = keyof typeof SPANS;

/** Never a value of a payload, nor a unit, an incident or a user. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

export interface Span {
  /** What the next hop continues: this span, or where nothing is traced, its parent. */
  readonly traceparent: string | undefined;
  /** @param failed why, in words without anything of the payload */
  end(attributes?: Attributes, failed?: string): void;
}

/** Begins spans. Never throws, and never waits. */
export interface Tracer {
  /**
   * @param parent a valid `traceparent`; without one, a new trace begins
   * @param agoMs how long ago it began
   */
  start(name: SpanName, parent: string | undefined, attributes?: Attributes, agoMs?: number): Span;
}

/** Records nothing, and passes on what others trace. */
export const NO_TRACER: Tracer = { start: (_name, parent) => ({ traceparent: parent, end: () => undefined }) };
