import type { z } from "zod";

/** One mismatch with a schema: its place, and a description that contains no value. */
export interface Fault {
  path: PropertyKey[];
  message: string;
}
type Issue = z.core.$ZodIssue;

/** The faults a schema found, one for each place. For a union, those of the best-fitting form. */
export function faultsOf(issues: readonly Issue[], at: readonly PropertyKey[] = []): Fault[] {
  return issues.flatMap((issue) => {
    const path = [...at, ...issue.path];
    switch (issue.code) {
      case "unrecognized_keys":
        return issue.keys.map((key) => ({ path: [...path, key], message: "is not a known field" }));
      case "invalid_key":
        return faultsOf(issue.issues, path);
      case "invalid_union": {
        const meant = formMeant(issue.errors);
        return meant ? faultsOf(meant, path) : [{ path, message: issue.message }];
      }
      default:
        return [{ path, message: issue.message }];
    }
  });
}

/** The form of a union that was meant: one of the right type with faults inside it rather than as a whole, and the nearest of those. */
function formMeant(forms: readonly Issue[][]): Issue[] | undefined {
  const ofType = forms.filter((form) => !form.some((i) => i.path.length === 0 && i.code === "invalid_type"));
  const inside = ofType.filter((form) => form.some((i) => i.path.length > 0 || i.code === "unrecognized_keys"));
  return (inside.length > 0 ? inside : ofType).toSorted((a, b) => misfit(a) - misfit(b))[0];
}

/** Distance of a form of a union from the given value: unknown keys weigh more than invalid values. */
const misfit = (form: readonly Issue[]): number =>
  form.reduce(
    (sum, i) => sum + (i.code === "unrecognized_keys" ? 10 * i.keys.length : i.code === "invalid_type" ? 3 : 1),
    0,
  );
