/** The name of the event that POST /destinations/{id}/test sends. */
export const TEST_EVENT = "bridge:test";

/** A CloudEvent 1.0 in structured mode like all others, which concerns no unit or incident. */
export const testEvent = (id: string, source: string, at: Date): string =>
  JSON.stringify({
    ...{ specversion: "1.0", id, source, type: TEST_EVENT, time: at.toISOString() },
    ...{ datacontenttype: "application/json", data: { test: true } },
  });
