// Hangouts: the browser's own WebSocket for what is new, REST for joining, and polling where no WebSocket gets through.

import { el, find, logger, recall, remember, rest, say } from "/shared.js";

const POLL = 2_000;
const PING = 60_000;

const view = Object.fromEntries(
  ["name", "places", "create", "polling", "message", "rooms", "nothing", "refresh", "stats", "log", "connection"]
    .map((name) => [name, find(name)]),
);
const log = logger(view.log);
const api = rest();

// Each tab is somebody: the id stays with the tab, the name may change.
const userId = sessionStorage.getItem("exedra.hangouts.user") ?? String(100_000_000 + Math.floor(Math.random() * 900_000_000));
sessionStorage.setItem("exedra.hangouts.user", userId);

const rooms = new Map(); // roomId → the newest update, with its name
const mine = new Set(JSON.parse(sessionStorage.getItem("exedra.hangouts.mine") ?? "[]"));
let ws = null;
let retry = 0;
let pollTimer = 0;
let pingTimer = 0;

// ---- the link -------------------------------------------------------------------------------------------------

function connect() {
  const address = new URL("/ws/rooms", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.searchParams.set("userId", userId);
  const link = new WebSocket(address);
  ws = link;
  show("connecting");
  link.addEventListener("open", () => {
    retry = 0;
    show("connected");
    for (const roomId of rooms.keys()) follow(roomId);
    clearInterval(pingTimer);
    pingTimer = setInterval(() => send({ action: "PING" }), PING);
  });
  link.addEventListener("message", ({ data }) => link === ws && heard(JSON.parse(data)));
  link.addEventListener("close", ({ code }) => {
    if (link !== ws) return;
    log("closed", String(code));
    clearInterval(pingTimer);
    show("disconnected");
    // Back soon, and ever later while it does not work; until then by polling.
    poll();
    setTimeout(() => !view.polling.checked && link === ws && connect(), Math.min(30_000, 500 * 2 ** retry++) * (0.5 + Math.random()));
  });
}

function send(message) {
  if (ws?.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
}

const follow = (roomId) => send({ action: "JOIN_ROOM", roomId, userId });

function heard(message) {
  log(message.type, message);
  if (message.type === "ROOM_UPDATE") update(message);
  if (message.type === "ROOM_CLOSED") {
    rooms.delete(message.roomId);
    showRooms();
  }
  if (message.type === "ERROR") say(view.message, `${message.code}: ${message.message}`, "bad");
}

function show(state) {
  view.connection.dataset.state = state === "polling" ? "connecting" : state;
  view.connection.textContent = state;
}

// ---- polling --------------------------------------------------------------------------------------------------

function poll() {
  clearTimeout(pollTimer);
  if (ws?.readyState === WebSocket.OPEN) return;
  if (view.polling.checked) show("polling");
  load().catch(fail).finally(() => (pollTimer = setTimeout(poll, POLL)));
}

function switchWay() {
  clearTimeout(pollTimer);
  if (view.polling.checked) {
    const old = ws;
    ws = null;
    old?.close();
    poll();
  } else {
    connect();
  }
}

// ---- rooms ----------------------------------------------------------------------------------------------------

async function load() {
  const answer = await api("GET", "/api/rooms?limit=100");
  for (const room of answer.rooms) {
    const isNew = !rooms.has(room.roomId);
    update(room);
    if (isNew) follow(room.roomId);
  }
}

function update(room) {
  const known = rooms.get(room.roomId);
  if (known && known.timestamp > room.timestamp) return; // an answer that was overtaken
  rooms.set(room.roomId, { ...known, ...room });
  showRooms();
}

function showRooms() {
  const row = (room) => {
    const inside = mine.has(room.roomId);
    const button = el("button", { type: "button", disabled: !inside && room.isFull, dataset: { act: inside ? "leave" : "join" } }, inside ? "Leave" : "Join");
    button.addEventListener("click", () => act(room.roomId, inside ? "leave" : "join").catch(fail));
    return el("li", { dataset: { room: room.roomId } },
      el("span", { class: "who" }, `${room.roomId} · ${room.name ?? "Room"}`),
      el("span", { class: "tag", dataset: { count: "" } }, `${room.currentParticipants}/${room.maxParticipants}`),
      el("span", { class: "quiet" }, room.isFull ? "full" : `${room.availableSlots} free`),
      el("span", { class: "end" }, button));
  };
  view.rooms.replaceChildren(...[...rooms.values()].sort((a, b) => a.roomId - b.roomId).map(row));
  view.nothing.hidden = rooms.size > 0;
}

async function act(roomId, what) {
  remember("name", view.name.value);
  const room = await api("POST", `/api/rooms/${roomId}/${what}`, { userId, userName: view.name.value.trim() || "User" });
  if (what === "join") mine.add(roomId);
  else mine.delete(roomId);
  sessionStorage.setItem("exedra.hangouts.mine", JSON.stringify([...mine]));
  say(view.message, what === "join" ? `You are in room ${roomId}.` : `You have left room ${roomId}.`, "good");
  update(room);
  await showStats();
}

async function create() {
  const name = `${view.name.value.trim() || "User"}'s room`;
  const room = await api("POST", "/api/rooms", { name, maxParticipants: Number(view.places.value) || 3 });
  update(room);
  follow(room.roomId);
}

async function showStats() {
  view.stats.textContent = JSON.stringify(await api("GET", "/api/rooms/stats"), null, 2);
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
  view.name.value = recall("name", `Guest ${userId.slice(-2)}`);
  onClick(view.create, create);
  onClick(view.refresh, async () => {
    await load();
    await showStats();
  });
  view.polling.addEventListener("change", switchWay);
  await load();
  connect();
  await showStats();
}

start().catch(fail);
