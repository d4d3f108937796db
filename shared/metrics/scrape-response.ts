import type { ServerResponse } from "node:http";
import { EXPOSITION_TYPE } from "./exposition.ts";

/** Answers a scrape, with 500 if it fails. */
export const answerScrape = (response: ServerResponse, text: Promise<string>): void =>
  void text.then(
    (metrics) => response.writeHead(200, { "content-type": EXPOSITION_TYPE }).end(metrics),
    () => response.writeHead(500).end(),
  );
