/** The bench failed, or the bridge broke a promise: no number of this run can be trusted. */
export class BenchError extends Error {
  override readonly name = "BenchError";
}
