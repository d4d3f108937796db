import { attempts, confirm, failure, folded, form, h, plural, replace, table, time } from "./dom.js";
import { heldWord, stateWord } from "./commands.js";

const STATES = ["", "rejected", "failed", "expired", "unconfirmed"];
const HELD = ["", "true", "false"];
const toIso = (local) => (local ? new Date(local).toISOString() : undefined);
const path = ({ command_id: id }) => `/dead-letters/${encodeURIComponent(id)}`;

const button = (text, onclick, more = {}) => h("button", { type: "button", class: "small", onclick, ...more }, text);

/** What the filters say, as the API takes it in a query. */
function filterOf({ since, ...params }) {
  return Object.fromEntries(Object.entries({ ...params, since: toIso(since) }).filter(([, value]) => value));
}
/** The same as JSON. */
const bodyOf = ({ held, ...filter }) => (held ? { ...filter, held: held === "true" } : filter);

export const deadLetters = {
  id: "dead-letters",
  title: "Dead letters",
  role: "admin",
  show(root, { api, params, go }) {
    const filter = filterOf(params);
    const { destination } = filter;
    const query = destination ? { destination } : {};
    const says = h("div", { role: "status", "aria-live": "polite" });
    const list = h("div");
    let rows = [];

    const say = (...children) => says.replaceChildren(h("p", { class: "note" }, ...children));
    const attempt = (task) => () => void task().catch((error) => says.replaceChildren(failure(error)));

    async function load(cursor) {
      const page = await api.get("/dead-letters", { ...filter, cursor });
      rows = cursor ? [...rows, ...page.dead_letters] : page.dead_letters;
      const more =
        page.next && h("button", { type: "button", class: "plain", onclick: attempt(() => load(page.next)) }, "More");
      replace(list, table("Dead letters", columns, rows, "No dead letter matches."), h("p", {}, more));
    }

    const dryRun = attempt(async () => {
      const answer = await api.post("/dead-letters/redrive", { ...bodyOf(filter), dry_run: true });
      const overtaken = answer.redriven.filter((letter) => letter.overtaken_by).length;
      say(
        `Dry run: ${plural(answer.count, "dead letter")}${answer.more ? " and more" : ""} would be sent again, the oldest first.`,
        overtaken > 0 &&
          ` For ${overtaken} of them a later command sets the same value: sending them again would set the older one.`,
      );
    });
    const redriveAll = attempt(async () => {
      const { count, more } = await api.post("/dead-letters/redrive", { ...bodyOf(filter), dry_run: true });
      if (count === 0) return say("No dead letter matches.");
      const text = `${plural(count, "dead letter")}${more ? " (and more, which take another turn)" : ""} that match the filter are accepted again as new commands, in the order in which they were accepted.`;
      if ((await confirm("Redrive all that match?", { text, action: `Redrive ${count}` })) === undefined) return;
      const answer = await api.post("/dead-letters/redrive", bodyOf(filter));
      say(
        `${plural(answer.count, "dead letter")} sent again.`,
        answer.unreadable.length > 0 && ` ${answer.unreadable.length} could not be opened.`,
      );
      await load();
    });

    const redrive = (letter) =>
      attempt(async () => {
        const place = letter.held ? "in its place: what waits behind it follows" : "at the end of its queues";
        const text = `${letter.command} of ${letter.ordering_keys.join(", ")} is accepted again as a new one, ${place}.`;
        if ((await confirm("Redrive it?", { text, action: "Redrive" })) === undefined) return;
        const answer = await api.post(`${path(letter)}/redrive`, {}, query);
        say(
          "Sent again",
          destination ? "." : [" as ", h("a", { href: `#commands?id=${answer.command_id}` }, answer.command_id), "."],
        );
        await load();
      });
    const discard = (letter) =>
      attempt(async () => {
        const text = `${letter.command} of ${letter.ordering_keys.join(", ")}: its payload is deleted for good. The receipt stays, and the audit trail notes it.${letter.held ? " What waits behind it follows." : ""}`;
        if ((await confirm("Discard it?", { text, action: "Discard", danger: true })) === undefined) return;
        await api.remove(path(letter), query);
        say("Discarded.");
        await load();
      });
    const reveal = (letter) =>
      attempt(async () => {
        const text = "The payload may hold data of a patient. That you saw it, and why, is noted in the audit trail.";
        const reason = await confirm("Reveal the payload?", { text, action: "Reveal", ask: "Reason", minLength: 5 });
        if (reason === undefined) return;
        const { payload } = await api.post(`${path(letter)}/reveal`, { reason }, query);
        const shown = h("pre", { tabindex: 0 }, JSON.stringify(payload, null, 2));
        says.replaceChildren(
          h("p", {}, `Payload of ${letter.command_id}:`),
          shown,
          h("button", { type: "button", class: "plain", onclick: () => says.replaceChildren() }, "Hide"),
        );
      });

    const columns = [
      ["Accepted", (l) => time(l.accepted_at)],
      ["What", (l) => l.command],
      ["About", (l) => l.ordering_keys.map((key) => key.replace(":", " ")).join(", ")],
      ["State", (l) => [stateWord(l.status), l.held && heldWord()]],
      ["Reason", (l) => [l.reason ?? "", attempts(l.recent_attempts ?? [])]],
      ["Payload", (l) => button("Reveal", reveal(l), { "aria-label": `Reveal the payload of ${l.command_id}` })],
      [
        "",
        (l) =>
          h(
            "span",
            { class: "buttons" },
            button("Redrive", redrive(l), { "aria-label": `Redrive ${l.command_id}` }),
            button("Discard", discard(l), { "aria-label": `Discard ${l.command_id}` }),
          ),
      ],
    ];

    const fields = [
      ["destination", "Destination (empty: commands)", { value: params.destination }],
      [destination ? "event" : "command", destination ? "Event" : "Command", { value: params.event ?? params.command }],
      ["unit", "Unit", { value: params.unit }],
      ["incident", "Incident", { value: params.incident }],
      ["state", "State", { options: STATES, value: params.state }],
      !destination && ["held", "Holds its place", { options: HELD, value: params.held }],
      ["reason", "Reason contains", { value: params.reason }],
      ["since", "Since", { type: "datetime-local", value: params.since }],
    ];
    root.append(
      folded(
        "Filter",
        params,
        form(fields.filter(Boolean), "Filter", (values) => go("dead-letters", values)),
      ),
      h(
        "p",
        { class: "buttons" },
        h("button", { type: "button", class: "plain", onclick: dryRun }, "Dry run"),
        h("button", { type: "button", onclick: redriveAll }, "Redrive all that match"),
      ),
      says,
      list,
    );
    attempt(() => load())();
  },
};
