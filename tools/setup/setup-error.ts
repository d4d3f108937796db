/** What was wrong and where, and how to mend it: printed without a stack. */
export class SetupError extends Error {
  override readonly name = "SetupError";
  readonly mend: string;

  constructor(message: string, mend: string, options?: ErrorOptions) {
    super(message, options);
    this.mend = mend;
  }
}
