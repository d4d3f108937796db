import { setTimeout as pause } from "node:timers/promises";
import { ask, problemOf, text } from "../../support/api.ts";
import type { Random } from "../../simulator/random.ts";
import type { Accepted } from "../check/checker.ts";
import { makePost, type Post } from "./load.ts";

/** Posts commands until stopped. Keeps the order within each key by posting the next only after a 202. */
export interface Producer {
  readonly accepted: readonly (Accepted & { at: number })[];
  /** Answers that no retry can change, and commands given up: failures of the suite itself. */
  readonly problems: readonly string[];
  /** Posts no new commands; those in flight get their 202, or are given up in time. */
  stop(): Promise<void>;
}

export interface ProducerOptions {
  /** Base URLs of the functions; after a failure the next one is tried. */
  urls: readonly string[];
  token: string;
  random: Random;
  /** Commands per second, as long as they are accepted. */
  rate: number;
}

const POSTERS = 32;
const ANSWER_WITHIN_MS = 3000;
const REPEAT_AFTER_MS = 100;
/** Longer than the longest fault, ms. */
const GIVE_UP_AFTER_MS = 180_000;
/** Deadline after `stop`, when all faults are over, ms. */
const LAST_ONES_WITHIN_MS = 30_000;

export function startProducer({ urls, token, random, rate }: ProducerOptions): Producer {
  const accepted: (Accepted & { at: number })[] = [];
  const problems: string[] = [];
  const busy = new Set<string>();
  const stopping = new AbortController();
  let stopBy = Infinity;
  let count = 0;

  function nextFree(): Post {
    for (;;) {
      const post = makePost(random, ++count);
      if (!post.keys.some((key) => busy.has(key))) return post;
    }
  }

  /** Returns its id once accepted; otherwise adds the reason to the problems. */
  async function postUntilAccepted({ path, body }: Post): Promise<string | undefined> {
    const key = `chaos-${Math.floor(random() * 2 ** 32).toString(36)}-${count}`;
    const giveUp = performance.now() + GIVE_UP_AFTER_MS;
    let last = "";
    for (let attempt = Math.floor(random() * urls.length); performance.now() < Math.min(giveUp, stopBy); attempt += 1) {
      const url = `${urls[attempt % urls.length]}/${path}`;
      const options = { token, body, headers: { "Idempotency-Key": key }, withinMs: ANSWER_WITHIN_MS };
      const answer = await ask("POST", url, options).catch((error: unknown) => String(error));
      if (typeof answer === "string") last = answer;
      else if (answer.status === 202) return text(answer.body["command_id"]);
      else if (answer.status !== 429 && answer.status < 500) {
        problems.push(`${path} was answered ${problemOf(answer)}`);
        return undefined;
      } else last = problemOf(answer);
      await pause(REPEAT_AFTER_MS * (0.5 + random()));
    }
    problems.push(`${path} was given up: ${last}`);
    return undefined;
  }

  async function poster(): Promise<void> {
    while (!stopping.signal.aborted) {
      const post = nextFree();
      for (const key of post.keys) busy.add(key);
      const id = await postUntilAccepted(post);
      // A command that was given up may have been accepted: nothing more is posted for its keys.
      if (id !== undefined) {
        accepted.push({ id, keys: post.keys, at: Date.now() });
        for (const key of post.keys) busy.delete(key);
      }
      await pause(((POSTERS * 1000) / rate) * 2 * random(), undefined, { signal: stopping.signal }).catch(
        () => undefined,
      );
    }
  }
  const posting = Promise.all(Array.from({ length: POSTERS }, poster));

  return {
    accepted,
    problems,
    async stop() {
      stopBy = performance.now() + LAST_ONES_WITHIN_MS;
      stopping.abort();
      await posting;
    },
  };
}
