/**
 * Milliseconds of the machine's monotonic clock, to the microsecond. All processes of one machine share it, so that a
 * time taken in one may be held against a time taken in another, whatever happens to the wall clock meanwhile.
 */
export const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;
