import { z } from "zod";

/** The cursor of the next page, in every list. */
export const nextCursor = z.string().nullable().meta({ description: "The cursor of the next page." });

/** One page of a list. */
export const pageOf = <const Name extends string, Item extends z.ZodType>(name: Name, item: Item) =>
  z.object({ [name]: z.array(item), next: nextCursor } as Record<Name, z.ZodArray<Item>> & { next: typeof nextCursor });
