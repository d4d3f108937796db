import type { DestinationLoad } from "../destinations/load.ts";
import { type Found, found } from "./problems.ts";

/** Problems of messages that wait too long or were given up. @param now ms since 1970 */
export function loadProblems(destination: string, load: DestinationLoad, now: number): Found[] {
  const { waiting, dead_letters: dead, next_attempt: next } = load;
  const about = (count: number, since: string | null) => ({
    about: destination,
    count,
    oldestSeconds: since === null ? null : Math.max(0, (now - Date.parse(since)) / 1000),
  });
  return [
    ...(load.full
      ? [
          found(
            "destination-backlog-full",
            { destination, count: waiting, ...(next !== null && { next }) },
            about(waiting, load.oldest_waiting),
          ),
        ]
      : []),
    ...(dead > 0
      ? [found("destination-dead-letters", { destination, count: dead }, about(dead, load.oldest_dead_letter))]
      : []),
  ];
}
