/** Builds the page. Whatever comes from the API becomes a text node or an attribute, never markup. */

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false),
  );
  return element;
}

/** An element: `h("p", { class: "hint" }, "text", otherElement)`. `onclick` and the like are listeners. */
export const h = (tag, props = {}, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props = {}, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** Replaces what is in an element, unless it is the same already: a reader's place and selection stay. */
export function replace(element, ...children) {
  const next = h(element.tagName, {}, ...children);
  if (next.isEqualNode(withoutAttributes(element))) return;
  element.replaceChildren(...next.childNodes);
}
function withoutAttributes(element) {
  const copy = h(element.tagName);
  copy.append(...element.cloneNode(true).childNodes);
  return copy;
}

/** @param columns [heading, row => cell] */
export function table(caption, columns, rows, empty = "None.") {
  if (rows.length === 0) return h("p", { class: "quiet" }, empty);
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map(([name]) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            columns.map(([name, cell]) => h("td", { "data-label": name }, h("div", {}, cell(row)))),
          ),
        ),
      ),
    ),
  );
}

const valuesOf = (target) =>
  Object.fromEntries([...new FormData(target)].map(([k, v]) => [k, v.trim()]).filter(([, v]) => v));

/** A form of one line. @param fields [name, label, { type, options, value, ... }] */
export function form(fields, submit, onsubmit) {
  const controls = fields.map(([name, label, { options, ...props } = {}]) => {
    const control = options
      ? h(
          "select",
          { name },
          options.map((value) => h("option", { value, selected: value === props.value }, value || "any")),
        )
      : h("input", { name, type: "text", autocomplete: "off", spellcheck: "false", ...props });
    return h("label", {}, h("span", {}, label), control);
  });
  return h(
    "form",
    {
      class: "filter",
      onsubmit(event) {
        event.preventDefault();
        onsubmit(valuesOf(event.currentTarget));
      },
    },
    controls,
    h("button", { type: "submit" }, submit),
  );
}

/** Asks before something is done. Resolves with what was typed (or "" if nothing was asked for), or undefined: not to be done. */
export function confirm(title, { text, action, ask, minLength = 0, danger = false }) {
  const input =
    ask && h("input", { type: "text", required: true, minlength: minLength, maxlength: 200, autocomplete: "off" });
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      {
        "aria-labelledby": "confirm",
        onclose: () => (dialog.remove(), resolve(dialog.returnValue === "yes" ? (input?.value ?? "") : undefined)),
      },
      h(
        "form",
        {
          onsubmit(event) {
            event.preventDefault();
            dialog.close("yes");
          },
        },
        h("h2", { id: "confirm" }, title),
        h("p", {}, text),
        ask && h("label", {}, h("span", {}, ask), input),
        h(
          "p",
          { class: "buttons" },
          h("button", { type: "submit", class: danger ? "danger" : "" }, action),
          h("button", { type: "button", class: "plain", onclick: () => dialog.close("no") }, "Cancel"),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A text in which backticks mark what is typed. */
export const withCode = (text) => text.split("`").map((part, i) => (i % 2 === 1 ? h("code", {}, part) : part));

/** A form that folds away on a narrow screen, unless something is filtered. */
export const folded = (title, params, ...children) =>
  h(
    "details",
    { open: matchMedia("(min-width: 40rem)").matches || Object.keys(params).length > 0 },
    h("summary", {}, title),
    children,
  );

/** Attempts to deliver something, the newest first; folded away. */
export const attempts = (list, more = [], open = false) =>
  list.length > 0 &&
  h(
    "details",
    { class: "attempts", open },
    h("summary", {}, plural(list.length, "recent attempt")),
    table(
      "Recent attempts",
      [
        ["At", (a) => time(a.at)],
        ...more,
        ["Answer", (a) => a.response ?? "none"],
        ["Took", (a) => (a.duration_ms === null ? "–" : `${count(a.duration_ms)} ms`)],
        ["Reason", (a) => a.reason ?? "delivered"],
      ],
      list.toReversed(),
    ),
  );

/** What went wrong with a request, for people. */
export const failure = (error) =>
  h("p", { class: "failure", role: "alert" }, h("strong", {}, error.message), error.hint ? ` ${error.hint}` : "");

const pad = (n) => String(n).padStart(2, "0");
/** A time of the API in local time; with its date if that is not today's. */
export function time(iso) {
  if (!iso) return "–";
  const at = new Date(iso);
  const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  const day =
    at.toDateString() === new Date().toDateString()
      ? ""
      : `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} `;
  return h("time", { datetime: iso, title: iso }, day + clock);
}

/** How long: "8 s", "3 min", "2 h 5 min", "4 days". */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${Math.round(hours / 24)} days`;
}
export const since = (iso) => (Date.now() - Date.parse(iso)) / 1000;
export const count = (n) => (n ?? 0).toLocaleString("en-US");
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
