import { attempts, failure, folded, form, h, plural, replace, table, time } from "./dom.js";
import { readEvents } from "./sse.js";

/** How many events are on the page at most. */
const MOST = 200;
const AGAIN_MS = 2000;
const address = (id) => `#events?${new URLSearchParams({ id })}`;
const about = ({ about: { units, incidents } }) =>
  [...units.map((id) => `unit ${id}`), ...incidents.map((id) => `incident ${id}`)].join(", ");

const COLUMNS = [
  ["Received", (e) => time(e.received_at)],
  ["Event", (e) => h("a", { href: address(e.id) }, e.event)],
  ["About", about],
  ["Kind", (e) => (e.kind === "event" ? "" : h("strong", {}, e.kind))],
  [
    "Note",
    (e) =>
      e.own_command
        ? [
            "echo of ",
            h("a", { href: `#commands?${new URLSearchParams({ id: e.own_command })}` }, e.own_command.slice(0, 8)),
          ]
        : e.recovered === true
          ? "recovered"
          : e.recovered === false
            ? "something was missed"
            : e.wrong.join("; "),
  ],
];

function live(root, { api, params, go }) {
  const state = h("p", { class: "quiet", role: "status" }, "Reading the journal ...");
  const list = h("div");
  const stopping = new AbortController();
  const filter = { event: params.event, unit: params.unit, incident: params.incident };
  let rows = [];
  let last;
  const show = () => replace(list, table("Events", COLUMNS, rows, "No event yet."));

  async function follow() {
    const stream = await api.stream("/events", { ...filter, last_event_id: last }, stopping.signal);
    state.textContent = "Live: new events appear at the top.";
    for await (const { id, event, data } of readEvents(stream)) {
      if (id) last = id;
      if (event === "bridge:position") continue;
      const { payload: _hidden, ...entry } = JSON.parse(data);
      rows = [entry, ...rows].slice(0, MOST);
      show();
    }
  }
  async function run() {
    const page = await api.get("/events/history", { ...filter, limit: 50, order: "newest" });
    rows = page.events.map(({ payload: _hidden, ...entry }) => entry);
    last = rows[0]?.id;
    show();
    while (!stopping.signal.aborted) {
      try {
        await follow();
      } catch (error) {
        if (stopping.signal.aborted) return;
        // What was removed meanwhile cannot be read on from: begin with what comes now.
        if (error.status === 410) last = undefined;
        state.textContent = `Not live: ${error.message} Trying again.`;
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  const fields = ["event", "unit", "incident"].map((name) => [
    name,
    name[0].toUpperCase() + name.slice(1),
    { value: params[name] },
  ]);
  root.append(
    folded(
      "Filter",
      params,
      form(fields, "Filter", (values) => go("events", values)),
    ),
    state,
    list,
  );
  void run().catch((error) => list.replaceChildren(failure(error)));
  return () => stopping.abort();
}

async function one(root, { api, params, go }) {
  const event = await api.get(`/events/${encodeURIComponent(params.id)}`);
  const payload = h("div");
  const reveal = h(
    "button",
    {
      type: "button",
      class: "small",
      onclick: () => payload.replaceChildren(h("pre", { tabindex: 0 }, JSON.stringify(event.payload, null, 2))),
    },
    "Show the payload",
  );
  root.append(
    h("h2", {}, event.event),
    h("p", {}, about(event), h("span", { class: "quiet" }, ` entry ${event.id}, received `), time(event.received_at)),
    event.wrong.length > 0 ? h("p", { class: "failure" }, `It does not parse: ${event.wrong.join("; ")}`) : "",
    h("p", {}, reveal),
    payload,
    h("h2", {}, "What each handler did with it"),
    table(
      "Handlers",
      [
        ["Handler", (x) => x.handler],
        ["Outcome", (x) => x.outcome],
        ["Took", (x) => `${Math.round(x.duration_ms * 10) / 10} ms, ${plural(x.tries, "try", "tries")}`],
        ["Error", (x) => x.error ?? ""],
      ],
      event.handled,
      "No handler handles it, or has reached it yet.",
    ),
    h("h2", {}, "Outcome at each destination"),
    table(
      "Destinations",
      [
        ["Destination", (d) => d.id],
        ["Outcome", (d) => d.outcome.replace("_", " ")],
        ["At", (d) => time(d.at)],
        ["Answer", (d) => d.response ?? ""],
        ["Attempts", (d) => [d.attempts, attempts(d.recent_attempts)]],
        ["Reason", (d) => d.reason ?? ""],
      ],
      event.destinations,
      "There is no destination.",
    ),
    h("p", {}, h("button", { type: "button", class: "plain", onclick: () => go("events") }, "All events")),
  );
}

export const events = {
  id: "events",
  title: "Events",
  role: "dispatcher",
  show(root, context) {
    const part = h("div");
    root.append(part);
    if (!context.params.id) return live(part, context);
    void one(part, context).catch((error) => part.append(failure(error)));
  },
};
