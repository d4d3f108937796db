/** The bench itself broke, or the bridge did not keep its word: no number of this run can be trusted. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}
