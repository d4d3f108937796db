import { allows } from "./api.js";
import { bars, lines } from "./plot.js";
import { count, h, withCode, plural, replace, since, span, table, time } from "./dom.js";

const EVERY_MS = 2000;
const PLOTS_EVERY_MS = 15_000;
const MARKS = { healthy: "●", degraded: "▲", unhealthy: "■", unknown: "?" };

/** A loop that asks, shows, and waits; while nobody looks it rests. Answers what ends it. */
export function every(ms, task) {
  let timer;
  let over = false;
  async function turn() {
    if (!document.hidden) await task();
    if (!over) timer = setTimeout(() => void turn(), ms);
  }
  void turn();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}

/** What the page knows, or that it knows nothing. */
async function look(api) {
  const admin = allows(api.role, "admin");
  const health = await api.get("/health").catch((error) => ({ error }));
  if (health.error) {
    const { message, hint } = health.error;
    return {
      status: "unknown",
      problems: [{ severity: "critical", code: "unreachable", message, hint, since: null, lost: "It is not known." }],
      backlog: null,
    };
  }
  const [status, queues] = await Promise.all([
    admin ? api.get("/status").catch(() => undefined) : undefined,
    allows(api.role, "dispatcher") && (health.backlog?.unsettled > 0 || health.backlog?.held_dead_letters > 0)
      ? api.get("/queues").catch(() => undefined)
      : undefined,
  ]);
  return { ...health, detail: status, queues };
}

const SAYS = { healthy: "All is well: commands are delivered." };

function sentence({ status, problems }) {
  const [first] = problems.filter(({ severity }) => severity !== "notice");
  return first?.message ?? SAYS[status] ?? "Something is wrong.";
}

function headline(state) {
  const [first] = state.problems.filter(({ severity }) => severity !== "notice");
  return h(
    "section",
    {
      class: `state ${state.status}`,
      role: "status",
      "aria-live": "polite",
      "data-status": state.status,
      "data-code": first?.code ?? "",
    },
    h("p", { class: "word" }, h("span", { "aria-hidden": "true" }, MARKS[state.status] ?? "?"), ` ${state.status}`),
    h("p", { class: "sentence" }, sentence(state)),
    first && h("p", {}, h("strong", {}, "Do: "), withCode(first.hint)),
    first && h("p", {}, h("strong", {}, "Lost: "), first.lost),
    first && h("p", { class: "quiet" }, `Code ${first.code}`, first.runbook && `; runbook: ${first.runbook}`),
  );
}

/** Beside the headline, so that a screen reader does not announce the duration every second. */
function duration({ problems, timestamp }) {
  const [first] = problems.filter(({ severity }) => severity !== "notice");
  if (!first) return h("p", { class: "quiet" }, "Looked at ", time(timestamp));
  return h(
    "p",
    {},
    first.since ? ["Since ", time(first.since), ` (${span(since(first.since))})`] : "It is not known since when.",
  );
}

function others({ problems: ofBridge, detail }) {
  const codes = new Set(ofBridge.map(({ code }) => code));
  const ofRedis = (detail?.redis_problems ?? []).filter(({ code }) => !codes.has(code));
  const problems = [...ofBridge, ...ofRedis];
  const first = ofBridge.find(({ severity }) => severity !== "notice");
  const rest = problems.filter((one) => one !== first);
  if (rest.length === 0) return undefined;
  return h(
    "section",
    {},
    h("h2", {}, first ? "Also" : "To look at by day"),
    h(
      "ul",
      { class: "problems" },
      rest.map((one) =>
        h(
          "li",
          { class: one.severity, "data-code": one.code },
          h("strong", {}, one.message),
          " ",
          withCode(one.hint),
          one.since && h("span", { class: "quiet" }, " Since ", time(one.since)),
        ),
      ),
    ),
  );
}

const linkTo = (key) => h("a", { href: `#commands?${new URLSearchParams({ queue: key })}` }, key.replace(":", " "));

const chipOf = ({ key, waiting: n, oldest_age_seconds: age }) => h("li", {}, linkTo(key), ` ${n}, ${span(age)}`);

/** The queues that a dead letter holds. */
function held({ backlog, queues }) {
  if (!backlog?.held_dead_letters) return undefined;
  const holds = (queues?.queues ?? []).filter((queue) => queue.held_by);
  return [
    h(
      "p",
      { class: "big", id: "held" },
      h("a", { href: "#dead-letters?held=true" }, plural(backlog.held_dead_letters, "dead letter")),
      ` held in place, ${plural(backlog.held_back, "command")} waiting behind.`,
    ),
    holds.length > 0 && h("ul", { class: "chips", "aria-label": "What is held" }, holds.slice(0, 12).map(chipOf)),
  ];
}

function waiting({ backlog, queues }) {
  if (!backlog) return h("p", { class: "big" }, "It is not known what waits.");
  if (backlog.unsettled === 0) return h("p", { class: "big" }, "No command waits.");
  const all = (queues?.queues ?? []).filter((queue) => queue.waiting > 0);
  const shown = all.slice(0, 12);
  const more = all.length - shown.length;
  return [
    h(
      "p",
      { class: "big" },
      `${plural(backlog.unsettled, "command")} waiting, the oldest for ${span(backlog.oldest_unsettled_age_seconds)}.`,
    ),
    shown.length > 0 &&
      h(
        "ul",
        { class: "chips", "aria-label": "What waits" },
        shown.map(chipOf),
        more > 0 && h("li", {}, `and ${more} more`),
      ),
  ];
}

/** Accepted = settled + waiting, in numbers that were read in one step. */
function conservation({ detail, backlog }) {
  if (!detail || !backlog) return undefined;
  const settled = Object.values(detail.settled).reduce((sum, n) => sum + n, 0);
  const { accepted = settled + backlog.unsettled, unaccounted = 0 } = detail;
  return h(
    "p",
    { class: unaccounted === 0 ? "sum" : "sum bad", id: "conservation" },
    h(
      "strong",
      {},
      unaccounted === 0
        ? "Nothing is lost. "
        : `${plural(unaccounted, "command is", "commands are")} unaccounted for. `,
    ),
    `${count(accepted)} accepted = ${count(settled)} settled + ${count(accepted - settled - unaccounted)} waiting`,
    unaccounted === 0 ? "." : ` + ${count(unaccounted)} missing.`,
    backlog.dead_letters > 0 && [
      " Of the settled, ",
      h("a", { href: "#dead-letters" }, plural(backlog.dead_letters, "dead letter")),
      " to decide on.",
    ],
  );
}

function connection({ bridge }) {
  if (!bridge) return undefined;
  const {
    connected,
    ready,
    cad_url: url,
    transport,
    uptime_percent_24h: day,
    uptime_percent_30d: month,
    disconnected_since: gone,
  } = bridge;
  const word = ready
    ? `connected and ready${transport ? ` (${transport})` : ""}`
    : connected
      ? "connected, not ready"
      : connected === null
        ? "not known"
        : "not connected";
  return h(
    "p",
    {},
    h("strong", {}, "CAD: "),
    word,
    url && `, ${url}`,
    gone && !ready && [", since ", time(gone)],
    day !== null && `; ready ${day} % of 24 h, ${month} % of 30 days`,
  );
}

function plots({ minutes, hours, workers }) {
  const points = (...values) =>
    minutes.map((minute) => ({ at: Date.parse(minute.at), values: values.map((value) => value(minute)) }));
  return [
    h(
      "div",
      { class: "plots" },
      lines(
        "Commands",
        "a minute",
        [
          ["accepted", "a"],
          ["settled", "b"],
        ],
        points(
          (m) => m.accepted,
          (m) => m.settled,
        ),
      ),
      lines(
        "Accepted to settled",
        "ms",
        [
          ["median", "a"],
          ["95 %", "b"],
        ],
        points(
          (m) => m.p50_ms,
          (m) => m.p95_ms,
        ),
      ),
      lines(
        "Waiting",
        "commands",
        [["waiting", "a"]],
        points((m) => m.waiting),
      ),
      bars("CAD ready", hours),
    ),
    h("h2", {}, "Workers"),
    table(
      "Workers",
      [
        ["Worker", (w) => w.instance],
        [
          "Role",
          (w) => (w.role === "leader" ? h("strong", {}, "leads") : w.role === "standby" ? "stands by" : "silent"),
        ],
        ["Last report", (w) => `${span(w.age_seconds)} ago`],
      ],
      workers,
      "No worker has reported in the last 10 minutes.",
    ),
  ];
}

export const now = {
  id: "now",
  title: "Now",
  role: "crew",
  show(root, { api }) {
    const parts = ["state", "duration", "behind", "sums", "also", "cad"].map(() => h("div"));
    const [state, lasts, behind, sums, also, cad] = parts;
    const history = h("div");
    root.append(...parts, history);
    const endState = every(EVERY_MS, async () => {
      const seen = await look(api);
      replace(state, headline(seen));
      replace(lasts, duration(seen));
      replace(behind, [held(seen), waiting(seen)]);
      replace(sums, conservation(seen));
      replace(also, others(seen));
      replace(cad, connection(seen));
    });
    if (!allows(api.role, "dispatcher")) return endState;
    const endPlots = every(PLOTS_EVERY_MS, async () => {
      const known = await api.get("/history").catch(() => undefined);
      if (known) replace(history, plots(known));
    });
    return () => (endState(), endPlots());
  },
};
