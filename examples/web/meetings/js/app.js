// A meeting with live presence and votes: presence over Socket.IO, everything that must not get lost over REST.

import { ask, demoUsers, el, find, initials, logger, recall, remember, rest, say, showState } from "/shared.js";

const DEMO_MEETING = "demo";
const PHASES = ["discussion", "emotional_evaluation", "understanding_contribution", "finished"];
const EVENTS = ["participants_updated", "participantJoined", "participantLeft", "phaseChanged", "voting_progress"];

const view = Object.fromEntries(
  [
    "user", "meeting-id", "join", "leave", "create", "message", "others", "participants", "count", "nobody", "phase",
    "status", "phase-next", "progress", "vote-form", "kind-emotional", "kind-understanding", "emotional",
    "understanding", "vote-submit", "vote-message", "results", "results-tables", "log", "connection",
  ].map((name) => [name, find(name)]),
);
const log = logger(view.log);

let users = [];
let me = null; // {userId, name, email, token}
let api = null; // REST as me
let socket = null;
let meeting = null; // the record of the meeting that is open
let inside = false; // whether this tab has joined it
let resultsTimer = 0;

// ---- who I am -------------------------------------------------------------------------------------------------

function become(userId) {
  me = users.find((user) => user.userId === userId) ?? users[0];
  view.user.value = me.userId;
  remember("user", me.userId);
  api = rest(me.token);
  showOthers();
  closeMeeting();
  connect();
}

function showOthers() {
  const links = users.filter((user) => user !== me).map((user) => {
    const query = new URLSearchParams({ user: user.userId, meeting: view["meeting-id"].value || DEMO_MEETING });
    return el("a", { href: `?${query}`, target: "_blank", rel: "noopener" }, nameOf(user.userId));
  });
  view.others.replaceChildren(...links.flatMap((link, at) => (at ? [", ", link] : [link])));
}

function nameOf(userId) {
  return users.find((user) => user.userId === userId)?.name ?? userId;
}

// ---- the connection -------------------------------------------------------------------------------------------

function connect() {
  socket?.disconnect();
  const mine = window.io({ auth: { token: me.token }, transports: ["websocket", "polling"], forceNew: true });
  socket = mine;
  showState(mine, view.connection);
  mine.on("connect", () => {
    log("connected", `as ${me.userId}${mine.recovered ? ", session recovered" : ""}`);
    view.join.disabled = inside;
    // A new session knows nothing of the old one's rooms; a recovered one does.
    if (inside && !mine.recovered) join().catch(fail);
  });
  mine.on("disconnect", (reason) => {
    log("disconnected", reason);
    view.join.disabled = true;
  });
  mine.on("connect_error", (error) => {
    log("connect_error", { message: error.message, ...error.data });
    say(view.message, `No connection: ${error.message}`, "bad");
  });
  for (const event of EVENTS) mine.on(event, (data) => mine === socket && heard(event, data));
}

function heard(event, data) {
  log(event, data);
  if (!inside || data?.meetingId !== meeting?.meetingId) return;
  if (event === "participants_updated") showParticipants(data.participants);
  if (event === "phaseChanged") {
    Object.assign(meeting, { phase: data.phase, status: data.status });
    showPhase();
    clearProgress();
    refreshForCreator();
  }
  if (event === "voting_progress") {
    showProgress(data.kind, data);
    refreshForCreator();
  }
}

// ---- the meeting ----------------------------------------------------------------------------------------------

async function createMeeting() {
  const title = `Meeting of ${nameOf(me.userId)}`;
  const made = await api("POST", "/meetings", { title, participantIds: users.map((user) => user.userId) });
  log("created", { meetingId: made.meetingId });
  await leave();
  view["meeting-id"].value = made.meetingId;
  await join();
}

/** The first demo user makes the demo meeting when it is not there; if another tab was faster, that one is as good. */
async function makeDemoMeeting() {
  const host = rest(users[0].token);
  // Lists are sorted by id, so this page begins just before the wanted one.
  const { meetings } = await host("GET", `/meetings?after=${DEMO_MEETING.slice(0, -1)}&limit=20`);
  if (meetings.some((one) => one.meetingId === DEMO_MEETING)) return;
  const body = { meetingId: DEMO_MEETING, title: "Demo meeting", participantIds: users.map((user) => user.userId) };
  await host("POST", "/meetings", body).catch((error) => {
    if (error.status !== 409) throw error;
  });
}

async function openMeeting(id) {
  if (id === DEMO_MEETING) await makeDemoMeeting();
  return api("GET", `/meetings/${encodeURIComponent(id)}`);
}

async function join() {
  const id = view["meeting-id"].value.trim() || DEMO_MEETING;
  view["meeting-id"].value = id;
  remember("meeting", id);
  showOthers();
  const opened = await openMeeting(id);
  if (inside && meeting && meeting.meetingId !== id) await leave();
  meeting = opened;
  inside = true; // updates may come before the acknowledgement
  const answer = await ask(socket, "join_meeting", { meetingId: id });
  log("join_meeting", answer);
  if (!answer.success) {
    closeMeeting();
    throw new Error(answer.error);
  }
  view.join.disabled = true;
  view.leave.disabled = false;
  say(view.message, `You are in “${meeting.title || id}”.`, "good");
  showParticipants(answer.participants);
  showPhase();
  clearProgress();
  buildForms();
  refreshForCreator();
}

async function leave() {
  if (!inside || !meeting) return;
  const { meetingId } = meeting;
  closeMeeting();
  const answer = await ask(socket, "leave_meeting", { meetingId });
  log("leave_meeting", answer);
  if (!answer.success) throw new Error(answer.error);
  say(view.message, "You have left.");
}

function closeMeeting() {
  inside = false;
  meeting = null;
  clearTimeout(resultsTimer);
  view.join.disabled = !socket?.connected;
  view.leave.disabled = true;
  view["vote-form"].hidden = true;
  view["phase-next"].hidden = true;
  view.results.hidden = true;
  view.phase.textContent = "–";
  view.status.textContent = "";
  view.progress.replaceChildren();
  say(view["vote-message"], "");
  showParticipants([]);
}

function showParticipants(participants) {
  view.participants.replaceChildren(
    ...participants.map((person) => {
      const name = person.fullName ?? person.email ?? person.userId;
      const since = new Date(person.joinedAt);
      return el("li", { dataset: { user: person.userId } },
        el("span", { class: "face", "aria-hidden": true }, initials(name)),
        el("span", { class: "who" }, person.userId === me.userId ? `${name} (you)` : name),
        el("time", { class: "quiet end", datetime: since.toISOString() }, since.toLocaleTimeString()));
    }),
  );
  view.count.textContent = String(participants.length);
  view.nobody.hidden = participants.length > 0;
}

// ---- phases ---------------------------------------------------------------------------------------------------

const iCreated = () => meeting?.creatorId === me.userId;
const isOver = () => ["ended", "closed"].includes(meeting?.status?.toLowerCase());
const nextPhase = () => PHASES[(PHASES.indexOf(meeting.phase) + 1) % PHASES.length];
const words = (phase) => phase.replaceAll("_", " ");

function showPhase() {
  view.phase.textContent = meeting.phase;
  view.status.textContent = meeting.status;
  view["phase-next"].hidden = !iCreated();
  view["phase-next"].textContent = `Next phase: ${words(nextPhase())}`;
  view["vote-form"].hidden = isOver();
  if (meeting.phase.startsWith("emotional")) view["kind-emotional"].checked = true;
  if (meeting.phase.startsWith("understanding")) view["kind-understanding"].checked = true;
  showKind();
}

async function goOn() {
  const phase = nextPhase();
  const status = phase === "finished" ? "ended" : "active";
  await api("PATCH", `/meetings/${encodeURIComponent(meeting.meetingId)}`, { phase, status });
}

// ---- votes ----------------------------------------------------------------------------------------------------

const kind = () => (view["kind-emotional"].checked ? "emotional" : "understanding");

function showKind() {
  view.emotional.hidden = kind() !== "emotional";
  view.understanding.hidden = kind() !== "understanding";
}

function slider(name, label, value) {
  const output = el("output", {}, String(value));
  const input = el("input", { type: "range", name, min: 0, max: 100, value, "aria-label": label });
  input.addEventListener("input", () => (output.textContent = input.value));
  return [input, output];
}

function buildForms() {
  const others = meeting.participantIds.filter((id) => id !== me.userId);
  const [emotional, understanding] = [view.emotional, view.understanding];
  emotional.replaceChildren(emotional.querySelector("legend"));
  understanding.replaceChildren(understanding.querySelector("legend"));
  for (const id of others) {
    const [scale, output] = slider("scale", `Emotional scale for ${nameOf(id)}`, 75);
    const toxic = el("label", { class: "check" }, el("input", { type: "checkbox", name: "toxic" }), "toxic");
    const end = el("span", {}, output, " ", toxic);
    emotional.append(el("div", { class: "entry", dataset: { target: id } }, el("span", {}, nameOf(id)), scale, end));
  }
  const [score, output] = slider("score", "How well I understood", 80);
  understanding.append(el("div", { class: "entry" }, el("strong", {}, "I understood"), score, output));
  const even = others.length ? Math.floor(100 / others.length) : 0;
  for (const id of others) {
    const [share, shown] = slider("share", `Contribution of ${nameOf(id)} in percent`, even);
    understanding.append(
      el("div", { class: "entry", dataset: { target: id } }, el("span", {}, nameOf(id)), share, shown));
  }
}

function ballot() {
  const entries = (fieldset) => [...fieldset.querySelectorAll("[data-target]")];
  const number = (entry, name) => Number(entry.querySelector(`[name="${name}"]`).value);
  if (kind() === "emotional") {
    const evaluations = entries(view.emotional).map((entry) => ({
      targetParticipantId: entry.dataset.target,
      emotionalScale: number(entry, "scale"),
      isToxic: entry.querySelector('[name="toxic"]').checked,
    }));
    return ["emotional-evaluations", { evaluations }];
  }
  const contributions = entries(view.understanding)
    .map((entry) => ({ participantId: entry.dataset.target, contributionPercentage: number(entry, "share") }))
    .filter((entry) => entry.contributionPercentage > 0);
  return ["understanding-contributions", { understandingScore: number(view.understanding, "score"), contributions }];
}

/** Submits; when the network fails, once more with the same key, so that nothing counts twice. */
async function vote() {
  const [route, body] = ballot();
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const send = () =>
    api("POST", `/meetings/${encodeURIComponent(meeting.meetingId)}/${route}`, body, { "idempotency-key": key });
  const answer = await send().catch((error) => {
    if (error.status !== undefined) throw error;
    return send();
  });
  log("voted", answer);
  say(view["vote-message"], answer.replaced ? "Your earlier vote was replaced." : "Your vote is stored.", "good");
}

function clearProgress() {
  view.progress.replaceChildren();
  say(view["vote-message"], "");
}

function showProgress(of, { submitted, total, percentage }) {
  let row = [...view.progress.children].find((child) => child.dataset.kind === of);
  if (!row) {
    row = el("div", { dataset: { kind: of } }, el("span", {}), el("progress", { max: 100, "aria-label": `${of} votes` }));
    view.progress.append(row);
  }
  row.querySelector("span").textContent = `${of}: ${submitted} of ${total} voted (${percentage} %)`;
  row.querySelector("progress").value = percentage;
}

// ---- for the creator ------------------------------------------------------------------------------------------

/** Soon, and once for many changes in a row. */
function refreshForCreator() {
  if (!iCreated()) return;
  clearTimeout(resultsTimer);
  resultsTimer = setTimeout(() => showResults().catch((error) => log("results", error.message)), 150);
}

async function showResults() {
  const { meetingId } = meeting;
  const path = `/meetings/${encodeURIComponent(meetingId)}`;
  const [info, results] = await Promise.all([api("GET", `${path}/voting-info`), api("GET", `${path}/results`)]);
  if (meeting?.meetingId !== meetingId) return;
  for (const of of ["emotional", "understanding"]) {
    const submitted = info.submissionStatus[of].length;
    const total = info.totalVotingParticipants;
    const percentage = total ? Math.min(100, Math.round((submitted / total) * 100)) : 0;
    if (submitted > 0) showProgress(of, { submitted, total, percentage });
  }
  view.results.hidden = false;
  view["results-tables"].replaceChildren(
    ...(results.phases.length ? results.phases.map(resultsTable) : [el("p", { class: "empty" }, "No votes yet.")]),
  );
}

function resultsTable(phase) {
  const cell = (value, unit = "") => el("td", { class: "number" }, value === null ? "–" : `${value}${unit}`);
  const heads = ["Participant", "Emotional mean", "Evaluations", "Toxic", "Contribution mean", "Named by"];
  const understood = phase.understandingMean === null ? "" : `, understanding ${phase.understandingMean}`;
  if (phase.participants.length === 0) return el("p", {}, `${words(phase.phase)}${understood}`);
  return el("table", { dataset: { phase: phase.phase } },
    el("caption", {}, `${words(phase.phase)}${understood}`),
    el("thead", {},
      el("tr", {}, ...heads.map((head, at) => el("th", { scope: "col", class: at ? "number" : null }, head)))),
    el("tbody", {}, ...phase.participants.map((of) =>
      el("tr", { dataset: { user: of.participantId } },
        el("td", {}, nameOf(of.participantId)),
        cell(of.emotionalMean),
        cell(of.emotionalCount),
        cell(of.toxicShare === null ? null : Math.round(of.toxicShare * 100), " %"),
        cell(of.contributionMean, " %"),
        cell(of.contributionCount)))));
}

// ---- start ----------------------------------------------------------------------------------------------------

function fail(error) {
  log("failed", error.message);
  say(view.message, error.message, "bad");
}

/** Runs something on a click; a failure is said, not thrown away. */
function onClick(button, action) {
  button.addEventListener("click", () => {
    say(view.message, "");
    action().catch(fail);
  });
}

async function start() {
  users = await demoUsers();
  view.user.replaceChildren(...users.map((user) => el("option", { value: user.userId }, user.name ?? user.userId)));
  view["meeting-id"].value = recall("meeting", DEMO_MEETING);
  view.user.addEventListener("change", () => become(view.user.value));
  view["meeting-id"].addEventListener("change", showOthers);
  onClick(view.join, join);
  onClick(view.leave, leave);
  onClick(view.create, createMeeting);
  onClick(view["phase-next"], goOn);
  view["kind-emotional"].addEventListener("change", showKind);
  view["kind-understanding"].addEventListener("change", showKind);
  view["vote-form"].addEventListener("submit", (event) => {
    event.preventDefault();
    vote().catch((error) => say(view["vote-message"], error.message, "bad"));
  });
  become(recall("user", users[0].userId));
}

start().catch(fail);
