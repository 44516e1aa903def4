// A meeting under the eyes of a detection engine: scores, alerts, analytics and video frames over Socket.IO. The
// engine in this tab sends as a real one would over a socket of its own; see examples/publishers for the bus.

import { ask, demoUsers, el, find, initials, logger, recall, remember, rest, say, showState } from "/shared.js";

const DEMO_MEETING = "123456789";
const LOUD = ["detection-update", "trust-score-update", "analytics-update", "video-frame"]; // too many for the log

const view = Object.fromEntries(
  [
    "user", "meeting-id", "join", "leave", "message", "others", "participants", "count", "nobody", "scores",
    "no-scores", "rate", "engine", "suspect", "severity", "raise", "frame", "frame-about", "analytics", "alerts",
    "alert-count", "no-alerts", "log", "connection",
  ].map((name) => [name, find(name)]),
);
const log = logger(view.log);

let users = [];
let me = null;
let api = null;
let socket = null;
let meeting = null; // the id of the meeting this tab is in
let people = new Map(); // userId → {userId, userName, joinedAt}
let seen = new Map(); // participantId → {trust, level, results}
let engine = 0; // the timer of the engine in this tab
let updates = 0;

// ---- who I am -------------------------------------------------------------------------------------------------

function become(userId) {
  me = users.find((user) => user.userId === userId) ?? users[0];
  view.user.value = me.userId;
  remember("user", me.userId);
  api = rest(me.token);
  close();
  showOthers();
  connect();
}

function showOthers() {
  const links = users.filter((user) => user !== me).map((user) => {
    const query = new URLSearchParams({ user: user.userId, meeting: view["meeting-id"].value || DEMO_MEETING });
    return el("a", { href: `?${query}`, target: "_blank", rel: "noopener" }, nameOf(user.userId));
  });
  view.others.replaceChildren(...links.flatMap((link, at) => (at ? [", ", link] : [link])));
}

const nameOf = (userId) =>
  people.get(userId)?.userName ?? users.find((user) => user.userId === userId)?.name ?? userId;

// ---- the connection -------------------------------------------------------------------------------------------

function connect() {
  socket?.disconnect();
  const mine = window.io({ auth: { token: me.token }, transports: ["websocket", "polling"], forceNew: true });
  socket = mine;
  showState(mine, view.connection);
  mine.on("connect", () => {
    log("connected", `as ${me.userId}`);
    view.join.disabled = meeting !== null;
    if (meeting !== null && !mine.recovered) join().catch(fail);
  });
  mine.on("disconnect", (reason) => log("disconnected", reason));
  mine.on("connect_error", (error) => say(view.message, `No connection: ${error.message}`, "bad"));
  mine.onAny((event, data) => {
    if (mine !== socket) return;
    if (!LOUD.includes(event)) log(event, data);
  });
  const on = (event, take) => mine.on(event, (...args) => mine === socket && take(...args));
  on("meeting-joined", (data) => showPeople(data.participants));
  on("participant-joined", (data) => {
    people.set(data.userId, { ...data, joinedAt: data.timestamp });
    showPeople([...people.values()]);
  });
  on("participant-left", (data) => {
    people.delete(data.userId);
    showPeople([...people.values()]);
  });
  on("detection-update", (data) => note(data, { results: data.results }));
  on("trust-score-update", (data) => note(data, { trust: data.trustScore, level: data.trustLevel }));
  on("deepfake-alert", (data) => showAlert(data));
  on("alert-acknowledged", (data) => showAcknowledged(data.alertId, data.userName));
  on("analytics-update", (data) => data.meetingId === meeting && showAnalytics(data.analytics));
  on("video-frame", (frame, about) => showFrame(frame, about).catch((error) => log("video-frame", error.message)));
  on("error", (error) => say(view.message, error.message, "bad"));
}

// ---- the meeting ----------------------------------------------------------------------------------------------

async function join() {
  const id = view["meeting-id"].value.trim() || DEMO_MEETING;
  if (meeting !== null && meeting !== id) await leave();
  view["meeting-id"].value = id;
  remember("meeting", id);
  showOthers();
  meeting = id;
  const answer = await ask(socket, "join-meeting", { meetingId: id });
  if (!answer.success) {
    close();
    throw new Error(answer.error.message);
  }
  view.join.disabled = true;
  for (const name of ["leave", "engine", "raise"]) view[name].disabled = false;
  say(view.message, `You are in meeting ${id}.`, "good");
  await showPast(id);
}

/** What was before one came: the audit trail and the numbers. */
async function showPast(id) {
  const path = `/api/meetings/${encodeURIComponent(id)}`;
  const since = Date.now() - 24 * 3600 * 1000;
  const [trail, analytics] = await Promise.all([
    api("GET", `${path}/alerts?limit=500&since=${since}`),
    api("GET", `${path}/analytics`),
  ]);
  if (meeting !== id) return;
  for (const alert of trail.alerts) {
    showAlert(alert);
    for (const ack of alert.acknowledgements) showAcknowledged(alert.alertId, ack.userName);
  }
  showAnalytics(analytics.analytics);
}

async function leave() {
  if (meeting === null) return;
  const id = meeting;
  close();
  await ask(socket, "leave-meeting", { meetingId: id });
  say(view.message, "You have left.");
}

function close() {
  meeting = null;
  stopEngine();
  view.join.disabled = !socket?.connected;
  for (const name of ["leave", "engine", "raise"]) view[name].disabled = true;
  seen = new Map();
  for (const name of ["scores", "alerts", "analytics"]) view[name].replaceChildren();
  view["alert-count"].textContent = "0";
  view["no-alerts"].hidden = false;
  view["no-scores"].hidden = false;
  showPeople([]);
}

function showPeople(list) {
  people = new Map(list.map((person) => [person.userId, person]));
  view.participants.replaceChildren(
    ...list.map((person) => {
      const since = new Date(person.joinedAt);
      return el("li", { dataset: { user: person.userId } },
        el("span", { class: "face", "aria-hidden": true }, initials(person.userName)),
        el("span", { class: "who" }, person.userId === me.userId ? `${person.userName} (you)` : person.userName),
        el("time", { class: "quiet end", datetime: since.toISOString() }, since.toLocaleTimeString()));
    }),
  );
  view.count.textContent = String(list.length);
  view.nobody.hidden = list.length > 0;
  const chosen = view.suspect.value;
  view.suspect.replaceChildren(...list.map((person) => el("option", { value: person.userId }, person.userName)));
  if (people.has(chosen)) view.suspect.value = chosen;
}

// ---- what the engine finds ------------------------------------------------------------------------------------

function note(data, what) {
  if (data.meetingId !== meeting) return;
  updates += 1;
  seen.set(data.participantId, { ...seen.get(data.participantId), ...what });
  const { trust, level, results } = seen.get(data.participantId);
  let row = [...view.scores.children].find((child) => child.dataset.participant === data.participantId);
  if (!row) {
    row = el("li", { dataset: { participant: data.participantId } });
    view.scores.append(row);
    view["no-scores"].hidden = true;
  }
  const bar = (label, value) =>
    el("span", {}, label, el("progress", { max: 1, value: value ?? 0, "aria-label": `${label} of ${nameOf(data.participantId)}` }));
  row.replaceChildren(
    el("span", { class: "who" }, nameOf(data.participantId)),
    el("span", { class: "bars" },
      bar("voice clone", results?.audioAnalysis?.voiceCloneScore),
      bar("face", results?.videoAnalysis?.facialConsistency),
      bar("behaviour", results?.behavioralAnalysis?.emotionConsistency)),
    el("span", { class: "level end", dataset: { level: level ?? "none" } }, trust === undefined ? "–" : trust.toFixed(2)),
  );
}

setInterval(() => {
  view.rate.textContent = updates ? `${updates} updates in the last second` : "";
  updates = 0;
}, 1000);

const alertRow = (id) => [...view.alerts.children].find((child) => child.dataset.alert === id);

function showAlert(alert) {
  if (alert.meetingId !== meeting || alertRow(alert.alertId)) return;
  const acknowledge = el("button", {
    type: "button",
    onclick: () => ask(socket, "ack-alert", { meetingId: meeting, alertId: alert.alertId }).catch(fail),
  }, "Seen");
  view.alerts.prepend(
    el("li", { dataset: { alert: alert.alertId } },
      el("span", { class: "severity", dataset: { severity: alert.severity } }, alert.severity),
      el("span", { class: "who" }, el("strong", {}, nameOf(alert.participantId)), " ", alert.message,
        el("span", { class: "quiet", dataset: { seen: "" } })),
      el("time", { class: "quiet end", datetime: alert.timestamp }, new Date(alert.timestamp).toLocaleTimeString()),
      acknowledge),
  );
  view["alert-count"].textContent = String(view.alerts.children.length);
  view["no-alerts"].hidden = true;
}

function showAcknowledged(alertId, name) {
  const line = alertRow(alertId)?.querySelector("[data-seen]");
  if (!line) return;
  const names = new Set(line.dataset.seen ? line.dataset.seen.split("\n") : []).add(name);
  line.dataset.seen = [...names].join("\n");
  line.textContent = ` · seen by ${[...names].join(", ")}`;
}

function showAnalytics(analytics) {
  const share = (value) => (value === null || value === undefined ? "–" : `${value} %`);
  const { audio, video, behavioral } = analytics.detectionModality;
  const rows = [
    ["Participants", analytics.totalParticipants],
    ["Anomalies", analytics.anomaliesDetected],
    ["Mean trust", analytics.averageTrustScore ?? "–"],
    ["Voice", `${audio.detected} (sure to ${audio.confidence})`],
    ["Picture", `${video.detected} (sure to ${video.confidence})`],
    ["Behaviour", `${behavioral.detected} (sure to ${behavioral.confidence})`],
    ["Frames", analytics.processedFrames],
    ["CPU", share(analytics.cpuUsage)],
    ["Memory", share(analytics.memoryUsage)],
  ];
  view.analytics.replaceChildren(
    ...rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, String(value)))),
  );
}

async function showFrame(frame, about) {
  if (about.meetingId !== meeting) return;
  const picture = await createImageBitmap(new Blob([frame]));
  view.frame.getContext("2d").drawImage(picture, 0, 0, view.frame.width, view.frame.height);
  view["frame-about"].textContent = `${nameOf(about.participantId)}, ${frame.byteLength} bytes`;
}

// ---- an engine that makes it up -------------------------------------------------------------------------------

const wobble = (middle, width) => Math.round(Math.min(1, Math.max(0, middle + (Math.random() - 0.5) * width)) * 100) / 100;

/** Everybody is fine but the one chosen below, whose voice is odd for half a minute of every minute. */
function look() {
  for (const participantId of people.keys()) {
    const odd = participantId === view.suspect.value && new Date().getSeconds() % 60 < 30;
    const results = {
      audioAnalysis: { voiceCloneScore: wobble(odd ? 0.85 : 0.1, 0.2), confidence: wobble(0.92, 0.1), features: ["pitch_variation"] },
      videoAnalysis: { facialConsistency: wobble(0.9, 0.1), lipSyncError: wobble(0.05, 0.1), confidence: wobble(0.88, 0.1) },
      behavioralAnalysis: { emotionConsistency: wobble(0.82, 0.2), confidence: wobble(0.9, 0.1) },
    };
    socket.emit("detection-results", { meetingId: meeting, participantId, results });
    socket.emit("trust-score-update", { meetingId: meeting, participantId, trustScore: wobble(odd ? 0.4 : 0.9, 0.15) });
  }
  sendFrame().catch((error) => log("video-frame", error.message));
}

async function sendFrame() {
  const canvas = el("canvas", { width: 160, height: 90 });
  const paint = canvas.getContext("2d");
  const hue = (Date.now() / 20) % 360;
  paint.fillStyle = `hsl(${hue} 60% 45%)`;
  paint.fillRect(0, 0, 160, 90);
  paint.fillStyle = "#fff";
  paint.font = "24px sans-serif";
  paint.fillText(initials(nameOf(me.userId)), 10 + (Date.now() / 15) % 110, 54);
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (meeting === null || engine === 0) return;
  socket.volatile.emit("video-frame", await picture.arrayBuffer(), { meetingId: meeting, participantId: me.userId });
}

function stopEngine() {
  clearInterval(engine);
  engine = 0;
  view.engine.textContent = "Start";
}

function toggleEngine() {
  if (engine) return stopEngine();
  engine = setInterval(look, 200);
  view.engine.textContent = "Stop";
  log("engine", "started in this tab");
}

async function raise() {
  const answer = await ask(socket, "deepfake-alert", {
    meetingId: meeting,
    participantId: view.suspect.value,
    severity: view.severity.value,
    message: "Possible voice cloning detected",
    type: "voice_clone_detected",
    confidence: 0.95,
    actionRequired: view.severity.value === "high",
  });
  if (!answer.success) throw new Error(answer.error.message);
}

// ---- start ----------------------------------------------------------------------------------------------------

function fail(error) {
  log("failed", error.message);
  say(view.message, error.message, "bad");
}

function onClick(button, action) {
  button.addEventListener("click", () => {
    say(view.message, "");
    Promise.resolve().then(action).catch(fail);
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
  onClick(view.engine, toggleEngine);
  onClick(view.raise, raise);
  become(recall("user", users[0].userId));
}

start().catch(fail);
