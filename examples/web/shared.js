// What all demo pages need: elements, who I am in this tab, REST, the connection's state, a log.
// Everything that comes from outside becomes text, never markup.

/** Makes an element: el("li", { class: "x", dataset: { user: "ann" }, onclick }, "text", child). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "dataset") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** The element with this data-testid. */
export function find(name) {
  const node = document.querySelector(`[data-testid="${CSS.escape(name)}"]`);
  if (!node) throw new Error(`no element ${name}`);
  return node;
}

/** The demo users of this hub with their development tokens. */
export async function demoUsers() {
  const response = await fetch("/demo/tokens.json", { cache: "no-store" });
  if (!response.ok) throw new Error("this hub gives out no demo tokens (it is not in development mode)");
  const answer = await response.json();
  // Either a list of users, or just a token for each id.
  const users = Array.isArray(answer.users)
    ? answer.users
    : Object.entries(answer).map(([userId, token]) => ({ userId, token, name: capitalised(userId), email: null }));
  if (users.length === 0) throw new Error("this hub has no demo users");
  return users;
}

const capitalised = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

/** A value of this tab: `?name=` in the address wins, then what the tab remembers, then the fallback. */
export function recall(name, fallback) {
  return new URLSearchParams(location.search).get(name) ?? sessionStorage.getItem(`exedra.${name}`) ?? fallback;
}

/** Remembers a value for this tab and shows it in the address, so that a reload and a copied link mean the same. */
export function remember(name, value) {
  sessionStorage.setItem(`exedra.${name}`, value);
  const url = new URL(location.href);
  url.searchParams.set(name, value);
  history.replaceState(null, "", url);
}

/** Calls REST routes as somebody, or as nobody without a token. Resolves to the body; rejects with the problem's own words. */
export function rest(token) {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(path, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    let answer = null;
    try {
      answer = text ? JSON.parse(text) : null;
    } catch {
      answer = null;
    }
    if (response.ok) return answer;
    const error = new Error(answer?.detail ?? answer?.error?.message ?? answer?.title ?? `HTTP ${response.status}`);
    error.status = response.status;
    error.code = answer?.code;
    throw error;
  };
}

/** Emits an event and waits for the acknowledgement. */
export function ask(socket, event, payload) {
  return socket.timeout(10_000).emitWithAck(event, payload);
}

/** Shows a connection's state in a badge: its text and data-state follow the socket. */
export function showState(socket, badge) {
  const show = (state) => {
    badge.dataset.state = state;
    badge.textContent = state;
  };
  show(socket.connected ? "connected" : "connecting");
  socket.on("connect", () => show("connected"));
  socket.on("disconnect", () => show(socket.active ? "connecting" : "disconnected"));
  socket.on("connect_error", () => show(socket.active ? "connecting" : "disconnected"));
}

/** A log of what happened, newest first, the last 200. */
export function logger(list) {
  return (what, detail) => {
    const now = new Date();
    const text = detail === undefined ? "" : typeof detail === "string" ? detail : JSON.stringify(detail);
    list.prepend(
      el("li", { dataset: { event: what } },
        el("time", { datetime: now.toISOString() }, now.toLocaleTimeString()),
        el("strong", {}, what),
        el("span", { class: "mono" }, text.length > 400 ? `${text.slice(0, 400)}…` : text)),
    );
    while (list.children.length > 200) list.lastElementChild.remove();
  };
}

/** Says something in a message line; kind is "good", "bad" or nothing. */
export function say(line, text, kind = "") {
  line.textContent = text;
  line.dataset.kind = kind;
}

/** Up to two letters for somebody without a picture. */
export function initials(name) {
  const parts = String(name).trim().split(/\s+/);
  const letters = [parts[0], parts.length > 1 ? parts.at(-1) : ""].map((part) => [...part][0] ?? "");
  return letters.join("").toUpperCase();
}
