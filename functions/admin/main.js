import { allows, createApi } from "./api.js";
import { audit } from "./audit.js";
import { commands } from "./commands.js";
import { deadLetters } from "./dead-letters.js";
import { destinations } from "./destinations.js";
import { events } from "./events.js";
import { incidents } from "./incidents.js";
import { h } from "./dom.js";
import { now } from "./now.js";

/**
 * A view: `{ id, title, role, show }`. `role` is the least one for which it is shown. `show(root, context)` fills root and
 * may return what is to be done when another view takes its place.
 */
const VIEWS = [now, commands, deadLetters, events, destinations, incidents, audit];

/** The address after "#": a view and what it looks at. It holds ids at most, never the token, and is not sent anywhere. */
function readAddress() {
  const [view = "", query = ""] = location.hash.slice(1).split("?");
  return { view, params: Object.fromEntries(new URLSearchParams(query)) };
}

export function addressOf(view, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value)).toString();
  return `#${view}${query && `?${query}`}`;
}

/** Ends the views when the user signs out. */
let end = () => undefined;

function signIn(message = "") {
  end();
  const input = h("input", { type: "password", name: "token", required: true, autocomplete: "off" });
  const says = h("p", { class: "failure", role: "alert" }, message);
  async function enter(event) {
    event.preventDefault();
    const token = input.value.trim();
    const api = createApi(token, () => signIn("The token is not valid any more. Sign in again."));
    // Any id will do: what matters is whether the token is accepted at all.
    const error = await api.get("/commands/none").then(
      () => undefined,
      (reason) => reason,
    );
    if (error && error.status !== 404 && error.status !== 503) says.textContent = `${error.message} ${error.hint}`;
    else run(api);
  }
  document.body.replaceChildren(
    h(
      "main",
      { class: "sign-in" },
      h("h1", {}, "Socket Bridge"),
      h(
        "form",
        { onsubmit: (event) => void enter(event) },
        h("label", {}, h("span", {}, "Token"), input),
        h("button", { type: "submit" }, "Sign in"),
        says,
      ),
      h("p", { class: "quiet" }, "The token stays in this page's memory, and is gone when it is closed or reloaded."),
    ),
  );
  input.focus();
}

const nothing = () => undefined;

function run(api) {
  const views = VIEWS.filter(({ role }) => allows(api.role, role));
  const root = h("main", { id: "main", tabindex: -1 });
  const links = new Map(views.map((view) => [view, h("a", { href: addressOf(view.id) }, view.title)]));
  let leave = nothing;

  function show() {
    const { view: id, params } = readAddress();
    const view = views.find((one) => one.id === id) ?? views[0];
    leave();
    for (const [one, link] of links)
      if (one === view) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    document.title = `${view.title} · Socket Bridge`;
    root.replaceChildren(h("h1", { class: "title" }, view.title));
    const go = (next, to = {}) => {
      const address = addressOf(next, to);
      if (location.hash === address) show();
      else location.hash = address;
    };
    leave = view.show(root, { api, params, go }) ?? nothing;
  }

  const signedOut = new AbortController();
  const follow = () => {
    show();
    root.focus();
  };
  globalThis.addEventListener("hashchange", follow, { signal: signedOut.signal });
  end = () => {
    leave();
    signedOut.abort();
    end = nothing;
  };
  document.body.replaceChildren(
    h(
      "a",
      { class: "skip", href: "#main", onclick: (event) => (event.preventDefault(), root.focus()) },
      "Skip to the content",
    ),
    h(
      "header",
      {},
      h("nav", { "aria-label": "Views" }, [...links.values()]),
      h(
        "p",
        {},
        h("span", { class: "quiet" }, api.role),
        h("button", { type: "button", class: "plain", onclick: () => signIn() }, "Sign out"),
      ),
    ),
    root,
  );
  show();
}

signIn();
