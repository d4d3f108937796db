import { allows } from "./api.js";
import { failure, folded, form, h, plural, replace, span, table, time } from "./dom.js";

const STATES = [
  "",
  "queued",
  "sent",
  "confirmed",
  "received",
  "unconfirmed",
  "rejected",
  "failed",
  "expired",
  "superseded",
];
const GOOD = new Set(["confirmed", "received", "superseded"]);
const BAD = new Set(["rejected", "failed", "expired", "unconfirmed"]);

export const stateWord = (status) =>
  h("span", { class: `tag ${GOOD.has(status) ? "good" : BAD.has(status) ? "bad" : "wait"}` }, status);
export const heldWord = () =>
  h(
    "span",
    { class: "tag bad", title: "What came after it waits until it is redriven or discarded" },
    "holds its place",
  );
const link = (id, text = id.slice(0, 8)) =>
  h("a", { href: `#commands?${new URLSearchParams({ id })}`, title: id }, text);
const keys = (list) =>
  list.map((key, i) => [
    i > 0 && ", ",
    h("a", { href: `#commands?${new URLSearchParams({ queue: key })}` }, key.replace(":", " ")),
  ]);
/** An input of type datetime-local has no offset: it is meant as local time. */
const toIso = (local) => (local ? new Date(local).toISOString() : undefined);

const COLUMNS = [
  ["Accepted", (c) => time(c.at)],
  ["Command", (c) => link(c.command_id, c.receipt?.command ?? c.action.replace("POST /", ""))],
  ["About", (c) => keys(c.about)],
  ["State", (c) => (c.receipt ? stateWord(c.receipt.status) : h("span", { class: "quiet" }, "receipt not kept"))],
  ["Reason", (c) => c.receipt?.reason ?? ""],
  ["By", (c) => c.who ?? ""],
];

function search(root, { api, params, go }) {
  const list = h("div");
  const fields = [
    ["unit", "Unit", { value: params.unit }],
    ["incident", "Incident", { value: params.incident }],
    ["command", "Command", { value: params.command, placeholder: "units/status" }],
    ["state", "State", { options: STATES, value: params.state }],
    ["since", "Since", { type: "datetime-local", value: params.since }],
    ["until", "Until", { type: "datetime-local", value: params.until }],
  ];
  const rows = [];
  async function load(cursor) {
    const { queue: _queue, id: _id, ...filter } = params;
    try {
      const page = await api.get("/commands", {
        ...filter,
        since: toIso(filter.since),
        until: toIso(filter.until),
        cursor,
      });
      rows.push(...page.commands);
      const more =
        page.next &&
        h(
          "button",
          { type: "button", class: "plain", onclick: () => void load(page.next) },
          rows.length === 0 ? "Look further back" : "More",
        );
      replace(
        list,
        table("Commands", COLUMNS, rows, page.next ? "None so far." : "No command matches."),
        h("p", {}, more),
      );
    } catch (error) {
      list.replaceChildren(failure(error));
    }
  }
  root.append(
    folded(
      "Search",
      params,
      form(fields, "Search", (values) => go("commands", values)),
      receiptForm(go),
    ),
    list,
  );
  void load();
}

const receiptForm = (go) =>
  form([["id", "Command id", { required: true }]], "Show its story", ({ id }) => go("commands", { id }));

/** What happened to a command, in order: from its receipt, and from the journal where its echo is. */
function story(receipt, echoes) {
  const steps = [
    [receipt.accepted_at, "Accepted: it is in Redis."],
    receipt.redrive_of && [receipt.accepted_at, ["It sends the dead letter ", link(receipt.redrive_of), " again."]],
    receipt.sent_at && [
      receipt.sent_at,
      receipt.sends > 1 ? `Sent to the CAD, for the ${receipt.sends}th time.` : "Sent to the CAD.",
    ],
    ...echoes.map((event) => [
      event.received_at,
      [
        "The CAD broadcast its echo: ",
        h("a", { href: `#events?${new URLSearchParams({ id: event.id })}` }, event.event),
        ".",
      ],
    ]),
    receipt.settled_at && [
      receipt.settled_at,
      [
        stateWord(receipt.status),
        receipt.proof && ` Proof: ${receipt.proof}, by the CAD's ${receipt.confirmed_by}.`,
        receipt.reason && ` Reason: ${receipt.reason}.`,
      ],
    ],
    receipt.held && [
      null,
      [
        heldWord(),
        ` ${plural(receipt.waiting_behind, "command waits", "commands wait")} behind it until it is `,
        h("a", { href: "#dead-letters?held=true" }, "redriven or discarded"),
        ".",
      ],
    ],
    receipt.held_back_by && [
      null,
      ["It waits behind the dead letter ", link(receipt.held_back_by), ", which holds its place."],
    ],
    receipt.superseded_by && [receipt.settled_at, ["Superseded by ", link(receipt.superseded_by), "."]],
    receipt.redriven_as && [null, ["Sent again as ", link(receipt.redriven_as), "."]],
    !receipt.final && receipt.expires_at && [receipt.expires_at, "Its time to live ends."],
  ];
  return h(
    "ol",
    { class: "story" },
    steps.filter(Boolean).map(([at, text]) => h("li", {}, at ? time(at) : "", " ", text)),
  );
}

async function readEchoes(api, { ordering_keys: about, accepted_at: since, command_id: id }) {
  if (!allows(api.role, "dispatcher")) return [];
  const [kind, name] = about[0]?.split(/:(.*)/s) ?? [];
  const filter = kind === "unit" ? { unit: name } : kind === "incident" ? { incident: name } : {};
  const until = new Date(Date.parse(since) + 600_000).toISOString();
  const page = await api
    .get("/events/history", { ...filter, own: "true", since, until, order: "oldest", limit: 200 })
    .catch(() => ({ events: [] }));
  return page.events.filter((event) => event.own_command === id);
}

async function one(root, { api, params, go }) {
  const receipt = await api.get(`/commands/${encodeURIComponent(params.id)}`);
  const echoes = await readEchoes(api, receipt);
  root.append(
    h("h2", {}, receipt.command, " ", stateWord(receipt.status)),
    h(
      "p",
      {},
      keys(receipt.ordering_keys),
      h("span", { class: "quiet" }, ` id ${receipt.command_id}, sent ${plural(receipt.sends, "time")}`),
    ),
    story(receipt, echoes),
  );
  if ((!receipt.final || receipt.held) && allows(api.role, "dispatcher"))
    for (const key of receipt.ordering_keys) await queueOf(root, api, key);
  root.append(
    h("p", {}, h("button", { type: "button", class: "plain", onclick: () => go("commands") }, "All commands")),
  );
}

async function queueOf(root, api, key) {
  const queue = await api.get(`/queues/${encodeURIComponent(key)}`);
  root.append(
    h("h2", {}, `Queue of ${key.replace(":", " ")}`),
    h(
      "p",
      { class: "big" },
      queue.waiting === 0 ? "Nothing waits." : `${plural(queue.waiting, "command")} waiting.`,
      ` ${queue.why ?? ""}`,
    ),
    table(
      `Queue of ${key}`,
      [
        ["Accepted", (c) => time(c.accepted_at)],
        ["Command", (c) => link(c.command_id, c.command)],
        ["About", (c) => keys(c.ordering_keys)],
        ["State", (c) => [stateWord(c.status), c.held && heldWord()]],
        ["Sent", (c) => `${c.sends} ×`],
        ["Waits", (c) => span((Date.now() - Date.parse(c.accepted_at)) / 1000)],
      ],
      queue.commands,
      "The queue is empty.",
    ),
  );
}

async function oneQueue(root, { api, params, go }) {
  const [kind, name] = params.queue.split(/:(.*)/s);
  await queueOf(root, api, params.queue);
  const known = kind === "unit" || kind === "incident";
  root.append(
    h(
      "p",
      {},
      known &&
        h(
          "button",
          { type: "button", class: "plain", onclick: () => go("commands", { [kind]: name }) },
          `All commands of ${kind} ${name}`,
        ),
    ),
  );
}

export const commands = {
  id: "commands",
  title: "Commands",
  role: "crew",
  show(root, context) {
    const { api, params, go } = context;
    const part = h("div");
    root.append(part);
    const failed = (error) => part.append(failure(error));
    if (params.id) void one(part, context).catch(failed);
    else if (!allows(api.role, "dispatcher")) part.append(receiptForm(go));
    else if (params.queue) void oneQueue(part, context).catch(failed);
    else search(part, context);
  },
};
