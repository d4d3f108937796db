/** What was wrong, and what to type. Plain JavaScript for Node 20; the TypeScript side has its own. */
export class SetupError extends Error {
  constructor(message, hint) {
    super(message);
    this.name = "SetupError";
    this.hint = hint;
  }
}
