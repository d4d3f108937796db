/** The name of the event that POST /destinations/{id}/test sends. */
export const TEST_EVENT = "bridge:test";

/** A CloudEvent 1.0 in structured mode, as all others are, that is about nobody. */
export const testEvent = (id: string, source: string, at: Date): string =>
  JSON.stringify({
    ...{ specversion: "1.0", id, source, type: TEST_EVENT, time: at.toISOString() },
    ...{ datacontenttype: "application/json", data: { test: true } },
  });
