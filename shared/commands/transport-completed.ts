import { z } from "zod";
import { mayHoldPhi } from "../vocabulary/phi.ts";
import { requestObject } from "../vocabulary/request-object.ts";
import { epcrId, incidentId } from "../vocabulary/fields.ts";
import { incidentKey } from "../vocabulary/ordering-key.ts";
import { defineCommand } from "./command.ts";

const object = z.record(z.string(), z.unknown());

export const transportCompleted = defineCommand({
  name: "transport/completed",
  role: "crew",
  summary: "Report that a transport is completed",
  description:
    "Everything given goes along. A CAD that neither acks nor broadcasts it settles it as `received`: its process has it.",
  body: requestObject({
    incident_id: incidentId,
    epcr_id: mayHoldPhi(epcrId),
    transport_type: z.string().min(1).max(200).optional().meta({ description: "Such as ALS, BLS or CCT." }),
    patient_name: mayHoldPhi(z.string().min(1).max(500).optional()),
    destination: mayHoldPhi(
      z
        .union([z.string().min(1).max(1000), object])
        .optional()
        .meta({ description: "The receiving facility: its name, or an object." }),
    ),
    billing_data: mayHoldPhi(object.optional().meta({ description: "Goes along as it is." })),
  }),
  keys: (b) => [incidentKey(b.incident_id)],
  emits: ["transport:completed"],
  wire: (b, { issuedAt }) => ({
    event: "transport:completed",
    payload: {
      incidentId: b.incident_id,
      epcrId: b.epcr_id,
      transportType: b.transport_type,
      patientName: b.patient_name,
      destination: b.destination,
      billingData: b.billing_data,
      timestamp: issuedAt,
    },
  }),
  payload: z.object({
    incidentId,
    epcrId,
    transportType: z.string().optional(),
    patientName: z.string().optional(),
    destination: z.union([z.string(), object]).optional(),
    billingData: object.optional(),
    timestamp: z.iso.datetime(),
  }),
  effect: "adds",
  examples: [
    {
      summary: "Brought to a hospital",
      body: {
        incident_id: "INC-2026-004711",
        epcr_id: "EPCR-90210",
        transport_type: "ALS",
        patient_name: "Pat Example",
        destination: "General Hospital",
        billing_data: { mileage: 4.2, level_of_service: "ALS1" },
      },
    },
  ],
});
