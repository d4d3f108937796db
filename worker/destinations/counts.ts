import { type DestinationReport, NOTHING_SENT } from "../../shared/destinations/store.ts";
import type { DeliveryResult } from "./send.ts";

const now = () => new Date().toISOString();

/** Counts the results of deliveries to a destination. */
export function createCounts() {
  const counted: Pick<DestinationReport, keyof typeof NOTHING_SENT> = { ...NOTHING_SENT };
  return {
    count(result: DeliveryResult): void {
      if (result.result === "ok") {
        counted.delivered += 1;
        counted.last_success = now();
        return;
      }
      counted.failed_attempts += 1;
      counted.last_error = result.reason;
      counted.last_error_at = now();
    },
    /** How many filters failed, this one included. */
    filterFailed: (): number => (counted.filter_errors += 1),
    report: () => ({ ...counted }),
  };
}
