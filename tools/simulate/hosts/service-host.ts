import type { Destination } from "../../../worker/destinations/routes.ts";
import type { Delivered } from "../../chaos/check/event-checker.ts";
import type { Strike, World } from "../world/world.ts";

/** A webhook as it comes to a service. */
export interface Post {
  url: string;
  method: string;
  body: string;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  /** After so long, ms. */
  inMs: number;
}

/** What a service asks for when it is busy, s. */
const RETRY_AFTER_S = 2;

/** The services that the events go to: each notes what it answered with 2xx. */
export class ServiceHost {
  /** In the order in which they came; `id` is the entry's. */
  readonly delivered: Delivered[] = [];
  /** Called when a service answered 410: somebody has to enable it again. */
  readonly onGone: ((destination: string) => void)[] = [];
  readonly #names: ReadonlyMap<string, string>;
  readonly #world: World;

  constructor(world: World, destinations: readonly Pick<Destination, "id" | "url">[]) {
    this.#world = world;
    this.#names = new Map(destinations.map(({ id, url }) => [url, id]));
  }

  /** Undefined: it never answers. */
  take({ url, method, body }: Post, strike: Strike | undefined): Answer | undefined {
    const destination = this.#names.get(url);
    if (destination === undefined) throw new Error(`there is no service at ${url}`);
    if (strike?.fault === "no answer") return undefined;
    const inMs = strike?.fault === "slow handler" ? strike.ms : this.#world.between("service", 0, 20);
    const answer = (status: number, headers = {}) => ({ status, headers, inMs });
    if (strike?.fault === "service error") return answer(500);
    if (strike?.fault === "busy") return answer(429, { "retry-after": String(RETRY_AFTER_S) });
    if (strike?.fault === "gone") {
      for (const listener of this.onGone) listener(destination);
      return answer(410);
    }
    if (method === "POST") {
      const { id } = JSON.parse(body) as { id: string };
      this.#world.say(`${destination} gets ${id}`);
      this.delivered.push({ destination, id, time: this.#world.epochMs() });
    }
    return answer(204);
  }
}
