/** The bridge's API, which is where this page came from. The token stays in memory: it is in no URL, cookie or storage. */

const BASE = new URL("..", import.meta.url);
const WITHIN_MS = 10_000;
const ROLES = ["crew", "dispatcher", "admin"];

export class ApiError extends Error {
  constructor({ status = 0, code = "unreachable", title, detail, hint = "", ...more }) {
    super(detail ?? title ?? "The bridge does not answer.");
    Object.assign(this, { status, code, hint, body: more });
  }
}

const UNREACHABLE = {
  detail: "This page cannot reach the bridge.",
  hint: "Look at the functions' process, the proxy and the network.",
};

/** @param onRefused called when the token is not valid any more */
export function createApi(token, onRefused) {
  async function request(method, path, { query = {}, body, signal } = {}) {
    const url = new URL(path.slice(1), BASE);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined && value !== "") url.searchParams.append(name, value);
    const headers = { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
    const init = {
      method,
      headers,
      cache: "no-store",
      credentials: "omit",
      signal: signal ?? AbortSignal.timeout(WITHIN_MS),
    };
    return await fetch(url, body ? { ...init, body: JSON.stringify(body) } : init).catch((error) => {
      throw signal?.aborted ? error : new ApiError(UNREACHABLE);
    });
  }

  async function ask(method, path, options) {
    const response = await request(method, path, options);
    const json = /json/.test(response.headers.get("Content-Type") ?? "");
    const answer = json ? await response.json() : {};
    // Health says 503 with all that is known.
    if (response.ok || path === "/health") return answer;
    if (response.status === 401) onRefused();
    throw new ApiError({ status: response.status, title: response.statusText, ...answer });
  }

  return {
    role: roleOf(token),
    get: (path, query) => ask("GET", path, { query }),
    post: (path, body = {}, query = {}) => ask("POST", path, { body, query }),
    remove: (path, query) => ask("DELETE", path, { query }),
    /** An answer that is no JSON. */
    async text(path, query) {
      const response = await request("GET", path, { query });
      if (!response.ok)
        throw new ApiError({ status: response.status, title: response.statusText, ...(await response.json()) });
      return await response.text();
    },
    /** The body of an endless answer, as text as it comes. */
    async stream(path, query, signal) {
      const response = await request("GET", path, { query, signal });
      if (!response.ok)
        throw new ApiError({ status: response.status, title: response.statusText, ...(await response.json()) });
      return response.body.pipeThrough(new TextDecoderStream());
    },
  };
}

/** What the token says of its role: which views are worth showing. The API decides. */
function roleOf(token) {
  try {
    const [, claims] = token.split(".");
    const { role, roles = [] } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
    return ROLES.toReversed().find((name) => name === role || roles.includes(name)) ?? "crew";
  } catch {
    return "crew";
  }
}

export const allows = (role, needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);
