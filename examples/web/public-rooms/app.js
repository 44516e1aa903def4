// Public rooms: a user made over REST, a namespace for each room, and everything that the room says.

import { ask, el, find, initials, logger, recall, remember, rest, say, showState } from "/shared.js";

const EVENTS = ["user-joined", "user-left", "ping", "error", "backoff", "signal", "room-update"];
const LOBBY = "lobby";

const view = Object.fromEntries(
  ["name", "rooms", "enter", "leave", "create", "message", "occupancy", "participants", "nobody", "wave", "third",
    "pong", "tried", "log", "connection"].map((name) => [name, find(name)]),
);
const log = logger(view.log);
const api = rest();

let me = null; // {userId, userName}
let socket = null;
let people = new Map(); // userId → userName

// ---- rooms ----------------------------------------------------------------------------------------------------

async function showRooms(chosen) {
  const { rooms } = await api("GET", "/api/public/rooms?limit=100");
  view.rooms.replaceChildren(
    ...rooms.map((room) => el("option", { value: room.roomId }, `${room.name} (${room.currentOccupancy}/${room.maxOccupancy})`)),
  );
  if (rooms.some((room) => room.roomId === chosen)) view.rooms.value = chosen;
}

async function makeRoom(name, roomId) {
  const room = await api("POST", "/api/public/rooms", { name, roomId, maxOccupancy: 50 });
  log("room made", { roomId: room.roomId });
  return room.roomId;
}

// ---- inside ---------------------------------------------------------------------------------------------------

/** A user belongs to the address that made it, and is forgotten some day: an old one is made anew. */
async function beSomebody() {
  const userName = view.name.value.trim() || "Guest";
  if (me?.userName === userName) return;
  me = await api("POST", "/api/public/users", { userName });
  log("user made", { userId: me.userId, userName: me.userName });
}

async function enter() {
  const room = view.rooms.value;
  remember("room", room);
  remember("name", view.name.value);
  await beSomebody();
  await api("POST", `/api/public/rooms/${room}/join`, { userId: me.userId });
  socket?.disconnect();
  socket = window.io(`/public-room/${room}`, { transports: ["websocket", "polling"], forceNew: true });
  const mine = socket;
  showState(mine, view.connection);
  for (const event of EVENTS) mine.on(event, (data) => mine === socket && heard(event, data));
  mine.on("connect", () => join(mine).catch(fail));
  mine.on("connect_error", (error) => fail(error));
  mine.on("disconnect", (reason) => {
    log("disconnected", reason);
    if (mine === socket) outside();
  });
}

async function join(mine) {
  const answer = await ask(mine, "join-room", { userId: me.userId, userName: me.userName });
  if (mine !== socket) return;
  if (answer.error) throw new Error(answer.error.message);
  people = new Map(answer.participants.map((one) => [one.userId, one.userName]));
  view.leave.disabled = false;
  view.wave.disabled = false;
  showPeople();
  say(view.message, `You are in, ${me.userName}.`, "good");
}

function heard(event, data) {
  log(event, data);
  if (event === "user-joined") people.set(data.userId, data.userName);
  if (event === "user-left") people.delete(data.userId);
  if (event === "ping" && view.pong.checked) socket.emit("pong");
  if (event === "error") say(view.message, `${data.code}: ${data.message}`, "bad");
  if (event === "signal") say(view.tried, `${people.get(data.from) ?? data.from} waves to you.`, "good");
  if (event === "room-update") say(view.message, data?.message ?? JSON.stringify(data));
  showPeople();
}

function showPeople() {
  view.participants.replaceChildren(
    ...[...people].map(([userId, name]) =>
      el("li", { dataset: { user: userId } },
        el("span", { class: "face", "aria-hidden": true }, initials(name)),
        el("span", { class: "who" }, userId === me?.userId ? `${name} (you)` : name))),
  );
  view.occupancy.textContent = String(people.size);
  view.nobody.hidden = people.size > 0;
}

function leave() {
  socket.emit("leave-room", { userId: me.userId });
}

function outside() {
  people = new Map();
  view.leave.disabled = true;
  view.wave.disabled = true;
  showPeople();
  showRooms(view.rooms.value).catch(fail);
}

// ---- the limits -----------------------------------------------------------------------------------------------

async function wave() {
  for (const userId of people.keys()) {
    if (userId !== me.userId) await ask(socket, "signal", { to: userId, data: { wave: true } });
  }
}

/** Opens a connection more, which is refused when this address has two, and closes it again. */
function tryThird() {
  const third = window.io(`/public-room/${view.rooms.value}`, { transports: ["websocket"], forceNew: true, reconnection: false });
  third.on("error", ({ code, message }) => {
    log("one more", { code, message });
    say(view.tried, `${code}: ${message}`, "bad");
  });
  third.on("connect", () => setTimeout(() => {
    if (third.connected) say(view.tried, "There was a place: the connection was let in, and is closed again.", "good");
    third.disconnect();
  }, 500));
}

// ---- start ----------------------------------------------------------------------------------------------------

function fail(error) {
  log("failed", error.data ?? error.message);
  say(view.message, error.message, "bad");
}

function onClick(button, action) {
  button.addEventListener("click", () => {
    say(view.message, "");
    Promise.resolve().then(action).catch(fail);
  });
}

async function start() {
  view.name.value = recall("name", `Guest ${1 + Math.floor(Math.random() * 99)}`);
  const room = recall("room", LOBBY);
  await showRooms(room);
  if (![...view.rooms.options].some((option) => option.value === LOBBY)) {
    await makeRoom("Lobby", LOBBY).catch((error) => {
      if (error.status !== 409) throw error;
    });
    await showRooms(room);
  }
  onClick(view.enter, enter);
  onClick(view.leave, leave);
  onClick(view.wave, wave);
  onClick(view.third, tryThird);
  onClick(view.create, async () => showRooms(await makeRoom(`${view.name.value.trim() || "Guest"}'s room`)));
}

start().catch(fail);
