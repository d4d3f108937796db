/** What was wrong and where, and how to fix it: printed without a stack. */
export class SetupError extends Error {
  override readonly name = "SetupError";
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}
