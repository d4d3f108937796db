import { z } from "zod";
import { mayHoldPhi } from "./phi.ts";
import { address, details, incidentId, incidentType, location, priority, wireAddress, wirePoint } from "./fields.ts";

/** Describes an incident in a request; an assignment describes its own incident. */
export const incidentFields = {
  incident_id: incidentId,
  incident_type: mayHoldPhi(incidentType),
  address: mayHoldPhi(address.optional()),
  priority,
  details: mayHoldPhi(details.optional()),
  location: mayHoldPhi(location.optional()),
};

type Incident = z.infer<z.ZodObject<typeof incidentFields>>;

/** The same on the CAD's wire. */
export const wireIncident = z.object({
  incidentId,
  type: incidentType,
  address: wireAddress.optional(),
  priority,
  details: details.optional(),
  location: wirePoint.optional(),
});

export const toWireIncident = (incident: Incident): z.infer<typeof wireIncident> => ({
  incidentId: incident.incident_id,
  type: incident.incident_type,
  address: incident.address,
  priority: incident.priority,
  details: incident.details,
  location: incident.location,
});
