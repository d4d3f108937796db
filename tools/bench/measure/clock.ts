/**
 * The machine's monotonic clock in ms, with microsecond resolution. All processes of a machine share it, so times of
 * different processes can be compared, even if the wall clock is changed.
 */
export const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;
