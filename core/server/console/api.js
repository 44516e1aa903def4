// Requests to this listener's API. The token lives in the tab's session storage and travels in a header only.

const KEY = "exedra-admin-token";

let token = sessionStorage.getItem(KEY);

/** An answer that is no success; `message` is for people. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(path, { method = "GET", body, signal } = {}) {
  const headers = { "X-Exedra-Intent": "console" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) {
    const had = token !== null;
    await login(had ? "That is not the token of this hub." : "");
    return send(path, { method, body, signal });
  }
  throw new Refused(response.status, problem.detail ?? `The hub answered ${response.status}.`);
}

let asking;

/** Asks for the token once, however many requests need it. */
function login(error) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("login");
    const input = document.getElementById("token");
    document.getElementById("login-error").textContent = error;
    input.value = "";
    const stay = (event) => event.preventDefault();
    dialog.addEventListener("cancel", stay);
    dialog.addEventListener("close", () => {
      dialog.removeEventListener("cancel", stay);
      token = input.value.trim();
      sessionStorage.setItem(KEY, token);
      input.value = "";
      asking = undefined;
      resolve();
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
  return asking;
}

const query = (parts) => {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

export const get = async (path, parts = {}, signal) => (await send(`/api/${path}${query(parts)}`, { signal })).json();

export const post = async (path, body) => (await send(`/api/${path}`, { method: "POST", body })).json();

export const remove = (path) => send(`/api/${path}`, { method: "DELETE" });

/** Reads a stream of events until `signal` says stop or the hub ends it; `tell(name, data)` gets each one. */
export async function stream(path, parts, signal, tell) {
  const response = await send(`/api/${path}${query(parts)}`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const part = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
      if (part("event").length) tell(part("event")[0], JSON.parse(part("data").join("\n")));
    }
  }
}
