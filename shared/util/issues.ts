import type { z } from "zod";

/** One thing that does not fit a schema: where it is, and what is wrong with it in words that hold no value. */
export interface Fault {
  path: PropertyKey[];
  message: string;
}
type Issue = z.core.$ZodIssue;

/** What a schema found, one fault for each place. Of a union, the faults of the best-fitting form are reported. */
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

/** The form of a union that was meant: of the right type, and with faults inside rather than as a whole; the nearest of those. */
function formMeant(forms: readonly Issue[][]): Issue[] | undefined {
  const ofType = forms.filter((form) => !form.some((i) => i.path.length === 0 && i.code === "invalid_type"));
  const inside = ofType.filter((form) => form.some((i) => i.path.length > 0 || i.code === "unrecognized_keys"));
  return (inside.length > 0 ? inside : ofType).toSorted((a, b) => misfit(a) - misfit(b))[0];
}

/** How far a form of a union is from what was given: keys that do not belong weigh more than values that are off. */
const misfit = (form: readonly Issue[]): number =>
  form.reduce(
    (sum, i) => sum + (i.code === "unrecognized_keys" ? 10 * i.keys.length : i.code === "invalid_type" ? 3 : 1),
    0,
  );
