import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { Agent, request } from "undici";
import { nowMs } from "../measure/clock.ts";
import { statusBody } from "./fleet.ts";
import { serve } from "./helper.ts";
import type { Accepted } from "./load.ts";

/** Baseline for webhooks: a loop that only signs a body with node:crypto and posts it with undici. */
export type SignedPostsQuestions = {
  post: { takes: { url: string; atOnce: number; seconds: number }; answers: Accepted };
};

if (import.meta.main) {
  const key = randomBytes(32);
  serve<SignedPostsQuestions>({
    async post({ url, atOnce, seconds }) {
      const agent = new Agent({ connections: atOnce });
      const began = nowMs();
      const until = began + seconds * 1000;
      let accepted = 0;
      const client = async () => {
        while (nowMs() < until) {
          const id = randomUUID();
          const time = String(Math.floor(Date.now() / 1000));
          const body = JSON.stringify({ specversion: "1.0", id, data: statusBody(accepted, 1) });
          const signature = createHmac("sha256", key).update(`${id}.${time}.${body}`).digest("base64");
          const headers = {
            ...{ "content-type": "application/cloudevents+json", "webhook-id": id, "webhook-timestamp": time },
            "webhook-signature": `v1,${signature}`,
          };
          const answer = await request(url, { method: "POST", body, headers, dispatcher: agent });
          await answer.body.dump();
          if (answer.statusCode >= 300) throw new Error(`a POST was answered ${answer.statusCode}`);
          accepted += 1;
        }
      };
      await Promise.all(Array.from({ length: atOnce }, client));
      const took = (nowMs() - began) / 1000;
      await agent.close();
      return { accepted, seconds: took };
    },
  });
}
