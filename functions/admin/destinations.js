import { attempts, confirm, failure, form, h, plural, replace, span, time } from "./dom.js";
import { every } from "./now.js";

const EVERY_MS = 3000;
const WORDS = { ok: "good", paused: "wait", disabled: "bad", removed: "bad" };

function card(d, actions, open) {
  const settled = Object.entries(d.settled).map(([state, n]) => `${n} ${state}`);
  return h(
    "section",
    { class: "card", "data-destination": d.id, "data-state": d.state },
    h("h2", {}, d.id, " ", h("span", { class: `tag ${WORDS[d.state]}` }, d.state)),
    d.reason &&
      h("p", {}, d.reason, d.since && [", since ", time(d.since)], d.until && [", tried again at ", time(d.until)]),
    h(
      "p",
      {},
      d.waiting === 0
        ? "Nothing waits."
        : `${plural(d.waiting, "event")} waiting, the oldest for ${span(d.oldest_age_seconds)}.`,
      ` ${d.in_flight} being sent.`,
    ),
    h(
      "p",
      {},
      `Settled: ${settled.join(", ") || "none"}. `,
      d.dead_letters > 0 &&
        h(
          "a",
          { href: `#dead-letters?${new URLSearchParams({ destination: d.id })}` },
          plural(d.dead_letters, "dead letter"),
        ),
    ),
    h(
      "p",
      { class: "quiet" },
      `${d.url || "address not known"}; since the worker leads: ${d.delivered} delivered, ${plural(d.failed_attempts, "failed attempt")}. Last success `,
      time(d.last_success),
      d.last_error && [`; last error `, time(d.last_error_at), `: ${d.last_error}`],
    ),
    replayOf(d.replay),
    attempts(
      d.recent_attempts ?? [],
      [
        ["Event", (a) => h("a", { href: `#events?id=${a.message_id.split("~")[0]}` }, a.event)],
        ["Attempt", (a) => a.number],
      ],
      open,
    ),
    h("p", { class: "buttons" }, actions),
  );
}

const UNDER_WAY = ["asked", "counting", "starting", "running"];

/** How the last replay is. */
function replayOf(replay) {
  if (!replay) return false;
  const going = UNDER_WAY.includes(replay.state);
  return h(
    "p",
    { "data-replay": replay.state },
    `Replay from ${replay.from}: ${replay.state}, ${replay.queued} of ${plural(replay.count, "event")} in the outbox`,
    going && replay.position && [", now at ", time(replay.position.at)],
    !going && replay.ended_at && [", ended ", time(replay.ended_at)],
    replay.reason ? `: ${replay.reason}.` : ".",
  );
}

/** What a dry run found, in a sentence. */
function whatWouldBeSent({ count, by_event: events, first, last }) {
  if (count === 0) return "No event would be sent.";
  const kinds = Object.entries(events).map(([event, n]) => `${n} ${event}`);
  return `${plural(count, "event")} would be sent again: ${kinds.join(", ")}; the first of ${new Date(first.at).toLocaleString()}, the last of ${new Date(last.at).toLocaleString()}.`;
}

/** Asks from when, and which events; a dry run comes first, and its result is confirmed. */
function replayForm(id, { api, say, attempt, close }) {
  const path = `/destinations/${encodeURIComponent(id)}/replay`;
  const fields = [
    ["from", "From (time, or id of an event)", { required: true, placeholder: "2026-01-31T22:05:00Z" }],
    ["events", "Events (empty: all that its rules send)", { placeholder: "unit:*, incident:new" }],
    ["filter", "Filter (CEL)", { placeholder: 'unit == "M12"' }],
  ];
  const dryRun = (values) =>
    attempt(async () => {
      const events = values.events?.split(/[\s,]+/).filter(Boolean);
      const body = { ...values, ...(events && { events }) };
      say(`Counting what would be sent to ${id} ...`);
      const found = await api.post(path, { ...body, dry_run: true });
      say(whatWouldBeSent(found));
      if (found.count === 0) return;
      const text = `${whatWouldBeSent(found)} Each has the id that it had before. New events follow after them.`;
      const action = `Send ${plural(found.count, "event")} again`;
      if ((await confirm(`Replay to ${id}?`, { text, action })) === undefined) return;
      const begun = await api.post(path, body);
      say(`The replay to ${id} has begun (${begun.state}).`);
      close();
    })();
  return h(
    "section",
    { class: "card", "aria-label": `Replay to ${id}` },
    h("h2", {}, `Replay to ${id}`),
    form(fields, "Dry run", dryRun),
    h("p", {}, h("button", { type: "button", class: "plain", onclick: close }, "Close")),
  );
}

export const destinations = {
  id: "destinations",
  title: "Destinations",
  role: "admin",
  show(root, { api }) {
    const says = h("div", { role: "status", "aria-live": "polite" });
    const asking = h("div");
    const list = h("div", { class: "cards" });
    root.append(says, asking, list);
    const say = (text) => says.replaceChildren(h("p", { class: "note" }, text));

    async function load() {
      const { destinations: known } = await api.get("/destinations");
      const all = await Promise.all(
        known.map((d) => api.get(`/destinations/${encodeURIComponent(d.id)}`).catch(() => d)),
      );
      // What a reader unfolded stays so.
      const unfolded = list.querySelectorAll("details[open]");
      const opened = new Set([...unfolded].map((one) => one.closest("[data-destination]").dataset.destination));
      replace(
        list,
        all.length === 0
          ? h("p", { class: "big" }, "There is no destination.")
          : all.map((d) => card(d, actionsOf(d), opened.has(d.id))),
      );
    }
    const attempt = (task) => () =>
      void task()
        .then(load)
        .catch((error) => says.replaceChildren(failure(error)));

    function actionsOf({ id, state }) {
      const path = `/destinations/${encodeURIComponent(id)}`;
      const test = attempt(async () => {
        say(`Sending a test event to ${id} ...`);
        const { outcome, response, attempts: tries, reason, duration_ms: ms } = await api.post(`${path}/test`);
        say(
          `${id}: ${outcome}${response ? `, it answered ${response}` : ""}${ms === null ? "" : ` within ${ms} ms`}, ${plural(tries, "attempt")}.${reason ? ` ${reason}.` : ""}`,
        );
      });
      const pause = attempt(async () => {
        const text = "Nothing is sent to it until somebody enables it. What comes meanwhile waits.";
        if ((await confirm(`Pause ${id}?`, { text, action: "Pause" })) === undefined) return;
        say((await api.post(`${path}/pause`)).message);
      });
      const enable = attempt(async () => {
        const text = "All that waits for it is sent at once.";
        if ((await confirm(`Enable ${id}?`, { text, action: "Enable" })) === undefined) return;
        say((await api.post(`${path}/enable`)).message);
      });
      const replay = () => {
        const close = () => asking.replaceChildren();
        asking.replaceChildren(replayForm(id, { api, say, attempt, close }));
        asking.querySelector("input").focus();
      };
      const button = (text, onclick) =>
        h("button", { type: "button", class: "small", onclick, "aria-label": `${text}: ${id}` }, text);
      return [
        button("Test event", test),
        state !== "removed" && button("Replay", replay),
        state === "ok" && button("Pause", pause),
        ["paused", "disabled"].includes(state) && button("Enable", enable),
      ];
    }
    return every(EVERY_MS, () => load().catch((error) => list.replaceChildren(failure(error))));
  },
};
