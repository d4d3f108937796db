/** An error with a hint for the user. Plain JavaScript for Node 20; setup-error.ts is the TypeScript version. */
export class SetupError extends Error {
  constructor(message, hint) {
    super(message);
    this.name = "SetupError";
    this.hint = hint;
  }
}
