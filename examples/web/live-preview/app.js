// The owner's side: makes a project, watches it, and shows sessions and events as they happen. The tracked side is
// form.html; what it needs to know travels in the fragment of its address, which no server sees.

import { ask, demoUsers, el, find, initials, logger, recall, remember, rest, say, showState } from "/shared.js";

const EVENTS = ["session-started", "event-received", "session-ended", "viewers-updated", "project-rejoined", "error"];

const view = Object.fromEntries(
  [
    "user", "project-id", "filter", "join", "leave", "create", "message", "tracked", "form", "shown-id", "shown-key",
    "viewers", "count", "nobody", "sessions", "session-count", "no-sessions", "log", "connection",
  ].map((name) => [name, find(name)]),
);
const log = logger(view.log);

let users = [];
let me = null;
let api = null;
let socket = null;
let project = null; // the id of the project that this tab watches

// ---- who I am -------------------------------------------------------------------------------------------------

function become(userId) {
  me = users.find((user) => user.userId === userId) ?? users[0];
  view.user.value = me.userId;
  remember("user", me.userId);
  api = rest(me.token);
  close();
  connect();
}

function connect() {
  socket?.disconnect();
  const mine = window.io({ auth: { token: me.token }, transports: ["websocket", "polling"], forceNew: true });
  socket = mine;
  showState(mine, view.connection);
  mine.on("connect", () => {
    log("connected", `as ${me.userId}`);
    view.join.disabled = project !== null;
  });
  mine.on("disconnect", (reason) => log("disconnected", reason));
  mine.on("connect_error", (error) => say(view.message, `No connection: ${error.message}`, "bad"));
  for (const event of EVENTS) mine.on(event, (data) => mine === socket && heard(event, data));
}

function heard(event, data) {
  log(event, data);
  if (event === "error") return say(view.message, data.message, "bad");
  if (event === "project-rejoined") return watched(data);
  if (event === "viewers-updated" && data.projectId === project) return showViewers(data.viewers);
  if (event === "session-started") showSession(data, "has begun", data.timestamp);
  if (event === "event-received") showSession(data, describe(data.event), data.event.timestamp);
  if (event === "session-ended") showSession(data, data.submitted ? "was submitted" : "has gone silent", data.timestamp, true);
}

// ---- the project ----------------------------------------------------------------------------------------------

async function create() {
  const made = await api("POST", "/api/projects", { name: `Form of ${me.name ?? me.userId}` });
  sessionStorage.setItem(`exedra.key.${made.projectId}`, made.apiKey);
  log("created", { projectId: made.projectId });
  view["project-id"].value = made.projectId;
  await join();
}

async function join() {
  const projectId = view["project-id"].value.trim();
  if (!projectId) return create();
  const kinds = view.filter.value.split(",").map((kind) => kind.trim()).filter(Boolean);
  const filter = kinds.length > 0 ? { eventTypes: kinds } : undefined;
  const answer = await ask(socket, "join-project", { projectId, filter });
  if (!answer.success) throw new Error(answer.message);
  watched(answer);
  const { sessions } = await api("GET", `/api/projects/${encodeURIComponent(projectId)}/sessions?limit=200`);
  for (const one of sessions) {
    const what = one.submitted === null ? `${one.events} events so far` : one.submitted ? "was submitted" : "has gone silent";
    showSession(one, what, one.lastEventAt, one.submitted !== null);
  }
}

function watched({ projectId, viewers }) {
  if (project !== projectId) close();
  project = projectId;
  view["project-id"].value = projectId;
  remember("project", projectId);
  view.join.disabled = true;
  view.leave.disabled = false;
  say(view.message, `You watch project ${projectId}.`, "good");
  showViewers(viewers);
  const key = sessionStorage.getItem(`exedra.key.${projectId}`);
  view.tracked.hidden = !key;
  if (!key) return;
  view.form.href = `/live-preview/form.html#${new URLSearchParams({ project: projectId, key, user: "visitor-1" })}`;
  view["shown-id"].textContent = projectId;
  view["shown-key"].textContent = key;
}

async function leave() {
  if (project === null) return;
  const projectId = project;
  close();
  const answer = await ask(socket, "leave-project", { projectId });
  if (!answer.success) throw new Error(answer.message);
  say(view.message, "You watch no more.");
}

function close() {
  project = null;
  view.join.disabled = !socket?.connected;
  view.leave.disabled = true;
  view.tracked.hidden = true;
  view.sessions.replaceChildren();
  view["no-sessions"].hidden = false;
  view["session-count"].textContent = "";
  showViewers([]);
}

function showViewers(viewers) {
  view.viewers.replaceChildren(
    ...viewers.map((viewer) =>
      el("li", { dataset: { user: viewer.userId } },
        el("span", { class: "face", "aria-hidden": true }, initials(viewer.userName)),
        el("span", { class: "who" }, viewer.userName),
        el("span", { class: "quiet end" }, viewer.connections === 1 ? "1 tab" : `${viewer.connections} tabs`))),
  );
  view.count.textContent = String(viewers.length);
  view.nobody.hidden = viewers.length > 0;
}

// ---- sessions -------------------------------------------------------------------------------------------------

function describe(event) {
  const { eventType, timestamp, data, ...more } = event;
  const text = Object.keys(more).length > 0 ? ` ${JSON.stringify(more)}` : "";
  return data instanceof ArrayBuffer ? `${eventType}${text}, ${data.byteLength} bytes` : `${eventType}${text}`;
}

function showSession({ sessionId, externalUserId }, what, when, ended = false) {
  let row = [...view.sessions.children].find((child) => child.dataset.session === sessionId);
  if (!row) {
    row = el("li", { dataset: { session: sessionId } },
      el("span", { class: "face", "aria-hidden": true }, initials(externalUserId)),
      el("span", { class: "who" }, el("strong", {}, externalUserId), " ", el("span", { class: "mono", dataset: { what: "" } })),
      el("time", { class: "quiet end" }));
    view.sessions.prepend(row);
    view["no-sessions"].hidden = true;
  }
  row.dataset.state = ended ? "ended" : "open";
  row.querySelector("[data-what]").textContent = what.slice(0, 200);
  row.querySelector("time").textContent = new Date(when).toLocaleTimeString();
  const open = [...view.sessions.children].filter((child) => child.dataset.state === "open").length;
  view["session-count"].textContent = `${open} going on, ${view.sessions.children.length - open} over`;
}

// ---- start ----------------------------------------------------------------------------------------------------

function fail(error) {
  log("failed", error.message);
  say(view.message, error.message, "bad");
}

function onClick(button, action) {
  button.addEventListener("click", () => {
    say(view.message, "");
    action().catch(fail);
  });
}

async function start() {
  users = await demoUsers();
  view.user.replaceChildren(...users.map((user) => el("option", { value: user.userId }, user.name ?? user.userId)));
  view["project-id"].value = recall("project", "");
  view.user.addEventListener("change", () => become(view.user.value));
  onClick(view.join, join);
  onClick(view.leave, leave);
  onClick(view.create, create);
  become(recall("user", users[0].userId));
}

start().catch(fail);
