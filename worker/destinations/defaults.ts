import { incidentNew } from "../../shared/events/incident-new.ts";
import { incidentStatusUpdated } from "../../shared/events/incident-status-updated.ts";
import { incidentTimestampUpdated } from "../../shared/events/incident-timestamp-updated.ts";
import { transportCompletedEvent } from "../../shared/events/transport-completed.ts";

/**
 * What the billing and the ePCR service get where nothing but their URL and secret is set, as a routes file would have it. Own
 * echoes are among it: a transport that the crew reported through the bridge is as complete as one from the terminal.
 */
export const DEFAULTS = {
  billing: {
    url: "BILLING_API_URL",
    secret: "BILLING_WEBHOOK_SECRET",
    rules: [
      {
        events: [transportCompletedEvent.name],
        fields: ["incidentId", "epcrId", "transportType", "destination", "billingData", "timestamp"],
        once: ["incidentId", "epcrId"],
      },
      {
        events: [incidentStatusUpdated.name],
        filter: 'payload.status.lowerAscii() == "completed"',
        fields: ["incidentId", "status"],
        once: ["incidentId"],
      },
    ],
  },
  epcr: {
    url: "EPCR_API_URL",
    secret: "EPCR_WEBHOOK_SECRET",
    rules: [{ events: [incidentNew.name, transportCompletedEvent.name, incidentTimestampUpdated.name] }],
  },
} as const;
