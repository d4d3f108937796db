import { allows } from "./api.js";
import { failure, form, h, replace, span, table, time } from "./dom.js";

const known = (aspect) =>
  aspect ? [String(aspect.value ?? "–"), h("span", { class: "quiet" }, ` ${span(aspect.age_seconds)} ago`)] : "–";
const unitLink = (id) => h("a", { href: `#commands?${new URLSearchParams({ queue: `unit:${id}` })}` }, id);
const incidentLink = (id) => h("a", { href: `#incidents?${new URLSearchParams({ id })}` }, id);

const UNITS = [
  ["Unit", (u) => unitLink(u.unit_id)],
  ["Status", (u) => known(u.status)],
  ["Incident", (u) => (u.incident?.value ? incidentLink(u.incident.value) : "–")],
  ["Position", (u) => (u.location ? h("span", { class: "quiet" }, `${span(u.location.age_seconds)} ago`) : "–")],
];
const INCIDENTS = [
  ["Incident", (i) => incidentLink(i.incident_id)],
  ["Status", (i) => known(i.status)],
  ["Units", (i) => i.units.map(({ unit_id: id }, n) => [n > 0 && ", ", unitLink(id)])],
  ["Warnings", (i) => i.warnings.length || ""],
];

/** A list that can be read on. */
function pages(api, path, name, columns) {
  const part = h("div");
  const rows = [];
  async function load(cursor) {
    const page = await api.get(path, { limit: 50, cursor });
    rows.push(...page[name]);
    const more =
      page.next && h("button", { type: "button", class: "plain", onclick: () => void load(page.next) }, "More");
    replace(part, table(name, columns, rows), h("p", {}, more));
  }
  void load().catch((error) => part.replaceChildren(failure(error)));
  return part;
}

const TIMELINE = [
  ["At", (x) => time(x.at)],
  ["Kind", (x) => x.kind],
  [
    "What",
    (x) =>
      x.command_id
        ? h("a", { href: `#commands?${new URLSearchParams({ id: x.command_id })}` }, x.what)
        : x.event_id
          ? h("a", { href: `#events?${new URLSearchParams({ id: x.event_id })}` }, x.what)
          : x.what,
  ],
  ["Status", (x) => [x.destination && `${x.destination}: `, x.status ?? ""]],
  ["By", (x) => (x.who ? [x.who, h("span", { class: "quiet" }, ` ${x.role}`)] : "")],
  ["About", (x) => x.about],
  ["Detail", (x) => x.detail ?? ""],
  [
    "Proof",
    (x) =>
      x.audit_number === null
        ? ""
        : h("span", { title: x.audit_hash }, `no. ${x.audit_number} ${x.audit_hash.slice(0, 8)}…`),
  ],
];

async function timeline(root, { api, params, go }) {
  const path = `/incidents/${encodeURIComponent(params.id)}/timeline`;
  const { items, next_since: next } = await api.get(path, { since: params.since });
  const save = async () => {
    const href = URL.createObjectURL(
      new Blob([await api.text(path, { since: params.since, format: "csv" })], { type: "text/csv" }),
    );
    h("a", { href, download: `incident-${params.id}.csv` }).click();
    URL.revokeObjectURL(href);
  };
  root.append(
    h("h2", {}, `Timeline of incident ${params.id}`),
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", class: "plain", onclick: () => void save() }, "Save as CSV"),
      h("button", { type: "button", class: "plain", onclick: () => go("incidents") }, "All units and incidents"),
    ),
    table("Timeline", TIMELINE, items),
    next
      ? h(
          "p",
          {},
          h(
            "button",
            { type: "button", class: "plain", onclick: () => go("incidents", { id: params.id, since: next }) },
            "Later",
          ),
        )
      : "",
  );
}

export const incidents = {
  id: "incidents",
  title: "Units and incidents",
  role: "crew",
  show(root, context) {
    const { api, params, go } = context;
    const part = h("div");
    root.append(part);
    if (params.id) return void timeline(part, context).catch((error) => part.append(failure(error)));
    part.append(
      form([["id", "Incident", { required: true }]], "Show its timeline", ({ id }) => go("incidents", { id })),
    );
    if (!allows(api.role, "dispatcher")) return;
    part.append(
      h("h2", {}, "Incidents"),
      pages(api, "/incidents", "incidents", INCIDENTS),
      h("h2", {}, "Units"),
      pages(api, "/units", "units", UNITS),
    );
  },
};
