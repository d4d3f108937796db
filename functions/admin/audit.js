import { failure, folded, form, h, replace, table, time } from "./dom.js";

const OUTCOMES = [
  "",
  "accepted",
  "replayed",
  "requested",
  "done",
  "failed",
  "not-found",
  "forged",
  "unauthenticated",
  "forbidden",
  "wrong-org",
  "outside-units",
  "too-many-requests",
];
const toIso = (local) => (local ? new Date(local).toISOString() : undefined);

const COLUMNS = [
  ["At", (e) => time(e.at)],
  ["Who", (e) => [e.who ?? "no valid token", e.role && h("span", { class: "quiet" }, ` ${e.role}`)]],
  ["Action", (e) => e.action],
  ["About", (e) => e.about.join(", ")],
  ["Outcome", (e) => e.outcome],
  ["From", (e) => e.address],
  ["Number", (e) => e.nth],
];

export const audit = {
  id: "audit",
  title: "Audit",
  role: "admin",
  show(root, { api, params, go }) {
    const list = h("div");
    const rows = [];
    async function load(cursor) {
      const page = await api.get("/audit", {
        ...params,
        since: toIso(params.since),
        until: toIso(params.until),
        cursor,
      });
      rows.push(...page.entries);
      const more =
        page.next && h("button", { type: "button", class: "plain", onclick: () => void load(page.next) }, "More");
      replace(
        list,
        table("Audit trail", COLUMNS, rows, page.next ? "None so far." : "No entry matches."),
        h("p", {}, more),
      );
    }
    const fields = [
      ["who", "Who", { value: params.who }],
      ["action", "Action", { value: params.action, placeholder: "POST /units/status" }],
      ["outcome", "Outcome", { options: OUTCOMES, value: params.outcome }],
      ["since", "Since", { type: "datetime-local", value: params.since }],
      ["until", "Until", { type: "datetime-local", value: params.until }],
    ];
    root.append(
      folded(
        "Filter",
        params,
        form(fields, "Filter", (values) => go("audit", values)),
      ),
      h(
        "p",
        { class: "quiet" },
        "Reading the trail is recorded in it. ",
        h("code", {}, "npm run audit"),
        " verifies its chain.",
      ),
      list,
    );
    void load().catch((error) => list.replaceChildren(failure(error)));
  },
};
