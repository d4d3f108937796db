import { commands } from "../../shared/commands/table.ts";

/** A patient who is nobody, in every field that may speak of one: what is said of them is easy to search for. */
export const WORD = "Kanarienvogel";
export const PATIENT = {
  patient_name: `Wilhelmina ${WORD}-Østergård`,
  address: `4711 ${WORD} Row, Apartment 12`,
  incident_type: `${WORD} Poisoning`,
  details: { complaint: `chest pain of the ${WORD}`, insurance: "KANARIENVOGEL-INS-0815-4711" },
  destination: { name: `${WORD} General Hospital`, bed: "kanarienvogel-12" },
  billing_data: { insurance_number: "KANARIENVOGEL-2342-9999", procedures: [`${WORD} intubation`] },
  location: { lat: 37.71234567, lng: -122.47654321 },
  latitude: 37.71234567,
  longitude: -122.47654321,
  metrics: { note: `${WORD} metrics 5150` },
};

const leaves = (value: unknown): unknown[] =>
  typeof value === "object" && value !== null ? Object.values(value).flatMap(leaves) : [value];

/** What must not be found: every text and every coordinate of it, and the word that all its texts have. */
export const TELLTALES = [...new Set([WORD, "122.47654321", ...leaves(PATIENT).map(String)])];

/** Which of them stand in a text, in either case. */
export function found(text: string, telltales: readonly string[] = TELLTALES): string[] {
  const lower = text.toLowerCase();
  return telltales.filter((telltale) => lower.includes(telltale.toLowerCase()));
}

/** Every example of every command, about the patient. */
export const BODIES = commands.flatMap(({ name, body, examples }) =>
  examples.map((example) => {
    const about: Record<string, unknown> = { ...example.body };
    for (const [field, value] of Object.entries(PATIENT)) {
      if (body.safeParse({ ...about, [field]: value }).success) about[field] = value;
    }
    return { path: `/${name}`, body: about };
  }),
);
