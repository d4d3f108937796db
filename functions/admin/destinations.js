import { confirm, failure, h, plural, replace, span, time } from "./dom.js";
import { every } from "./now.js";

const EVERY_MS = 3000;
const WORDS = { ok: "good", paused: "wait", disabled: "bad", removed: "bad" };

function card(d, actions) {
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
    h("p", { class: "buttons" }, actions),
  );
}

export const destinations = {
  id: "destinations",
  title: "Destinations",
  role: "admin",
  show(root, { api }) {
    const says = h("div", { role: "status", "aria-live": "polite" });
    const list = h("div", { class: "cards" });
    root.append(says, list);
    const say = (text) => says.replaceChildren(h("p", { class: "note" }, text));

    async function load() {
      const { destinations: all } = await api.get("/destinations");
      replace(
        list,
        all.length === 0 ? h("p", { class: "big" }, "There is no destination.") : all.map((d) => card(d, actionsOf(d))),
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
        const { outcome, response, attempts, reason, duration_ms: ms } = await api.post(`${path}/test`);
        say(
          `${id}: ${outcome}${response ? `, it answered ${response}` : ""}${ms === null ? "" : ` within ${ms} ms`}, ${plural(attempts, "attempt")}.${reason ? ` ${reason}.` : ""}`,
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
      const button = (text, onclick) =>
        h("button", { type: "button", class: "small", onclick, "aria-label": `${text}: ${id}` }, text);
      return [
        button("Test event", test),
        state === "ok" && button("Pause", pause),
        ["paused", "disabled"].includes(state) && button("Enable", enable),
      ];
    }
    return every(EVERY_MS, () => load().catch((error) => list.replaceChildren(failure(error))));
  },
};
