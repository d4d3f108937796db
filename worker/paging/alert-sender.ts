import { alertNameOf } from "../../shared/health/problems.ts";
import { whyUnreachable } from "../../shared/util/reason.ts";
import type { Page } from "./page-store.ts";

const TIMEOUT_MS = 5000;
/** An Alertmanager resolves an alert that is not repeated for some minutes; it is sent once, so with this end time, ms. */
const OPEN_FOR_MS = 7 * 24 * 3_600_000;

export interface AlertTarget {
  url: string;
  /** REDIS_PREFIX: which bridge it is. */
  bridge: string;
}

/** POSTs JSON or GETs a URL; answers why it failed, or undefined. Never throws, and shows nothing of the URL. */
export async function call(url: string, init: RequestInit): Promise<string | undefined> {
  try {
    // Not ended by a stop of the worker: what was sent and not noted would be sent again.
    const response = await fetch(url, { redirect: "manual", ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.body?.cancel();
    return response.ok ? undefined : `it answered ${response.status}`;
  } catch (error) {
    return whyUnreachable(error, "it", TIMEOUT_MS);
  }
}

/** One page to ALERT_URL. */
export const sendAlert = (target: AlertTarget, page: Page): Promise<string | undefined> =>
  call(target.url, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": `${target.bridge}-${page.n}` },
    body: JSON.stringify(isAlertmanager(target.url) ? toAlertmanager(target, page) : toWebhook(target, page)),
  });

/** The API that Prometheus's Alertmanager has for alerts. */
const isAlertmanager = (url: string): boolean => /\/api\/v2\/alerts\/?$/.test(new URL(url).pathname);

function toAlertmanager({ bridge }: AlertTarget, { kind, at, problem: p }: Page) {
  return [
    {
      labels: {
        alertname: alertNameOf(p.code),
        code: p.code,
        severity: p.severity,
        bridge,
        ...(p.about !== undefined && { about: p.about }),
      },
      annotations: { summary: p.message, description: `${p.hint} Lost: ${p.lost}`, runbook_url: p.runbook },
      startsAt: p.since,
      endsAt: kind === "resolved" ? at : new Date(Date.parse(at) + OPEN_FOR_MS).toISOString(),
    },
  ];
}

const toWebhook = ({ bridge }: AlertTarget, { n, kind, at, problem }: Page) => ({
  type: `bridge:problem:${kind}`,
  id: `${bridge}-${n}`,
  bridge,
  at,
  text: `${kind === "resolved" ? "Resolved: " : ""}${problem.message}`,
  problem,
});
