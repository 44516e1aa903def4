// The hangouts plugin on the release binary: the contract's own client code on plain WebSocket, polling beside it, many
// joins at one instant, a keeper over a real nats-server, and the demo in a real Chromium.
// Needs: Nats, WebClient, Chromium.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { WebSocket } from "ws";

import { openPages } from "./harness/browser.mjs";
import { rest } from "./harness/client.mjs";
import { DEMO, ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { run } from "./harness/process.mjs";
import { mint } from "./harness/tokens.mjs";
import { pause, until } from "./harness/wait.mjs";

const HANGOUTS = { "plugins.hangouts": { enabled: true } };
const LIMITS = { limits: { connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const hubOf = (t, sections = {}) => startHub(t, { ...HANGOUTS, ...LIMITS, ...sections });

/** A link that keeps what it hears. */
function openLink(t, hub, query) {
  const ws = new WebSocket(`${hub.url.replace("http", "ws")}/ws/rooms${query}`);
  ws.heard = [];
  ws.on("message", (data) => ws.heard.push(JSON.parse(data.toString())));
  ws.on("close", (code) => (ws.closed = code));
  ws.on("error", (error) => (ws.failed = error));
  ws.say = (message) => ws.send(typeof message === "string" ? message : JSON.stringify(message));
  t.after(() => ws.terminate());
  return ws;
}

const hears = (ws, type, accept = () => true, within = 5_000) =>
  until(() => ws.heard.find((message) => message.type === type && accept(message)), {
    within,
    what: () => `${type}; heard ${JSON.stringify(ws.heard).slice(-1500)}`,
  });

async function newRoom(hub, maxParticipants, more = {}) {
  const made = await rest(hub, "POST", "/api/rooms", { body: { name: "Main", maxParticipants, ...more } });
  assert.equal(made.status, 201, made.text);
  return made.json.roomId;
}

const act = (hub, room, what, userId, userName) =>
  rest(hub, "POST", `/api/rooms/${room}/${what}`, { body: { userId, userName } });

test("seed client as written", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t);
  assert.equal(await newRoom(hub, 50), 1);
  const said = [];

  // The contract's client, as written there but for the address and the output.
  const userId = "123456789";
  const ws = new WebSocket(`${hub.url.replace("http", "ws")}/ws/rooms?userId=${userId}`);
  t.after(() => ws.close());
  ws.addEventListener("open", () => {
    said.push("Connected to room updates");
    ws.send(JSON.stringify({ action: "JOIN_ROOM", roomId: 1, userId: userId }));
  });
  ws.addEventListener("message", (event) => {
    const data = JSON.parse(event.data);
    if (data.type === "ROOM_UPDATE") {
      said.push(`Room ${data.roomId} - ${data.currentParticipants}/${data.maxParticipants}`);
    }
  });
  ws.addEventListener("error", () => said.push("WebSocket error"));
  ws.addEventListener("close", () => said.push("Disconnected from room updates"));

  const stats = async () => (await rest(hub, "GET", "/api/rooms/stats")).json;
  await until(async () => (await stats()).totalRoomsWithClients === 1, { what: "the link to follow" });
  assert.deepEqual(await stats(), {
    totalRoomsWithClients: 1,
    totalConnections: 1,
    totalUsersTracked: 1,
    activeRooms: [1],
  });
  await act(hub, 1, "join", "7", "John Doe");
  await act(hub, 1, "leave", "7");
  await until(() => said.length === 3, { what: () => JSON.stringify(said) });
  assert.deepEqual(said, ["Connected to room updates", "Room 1 - 1/50", "Room 1 - 0/50"]);
  ws.close();
  await until(async () => (await stats()).totalConnections === 0, { what: "the link to be forgotten" });
  await until(() => said.at(-1) === "Disconnected from room updates", { what: () => JSON.stringify(said) });
});

test("messages look as written", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t);
  await newRoom(hub, 50);
  const ws = openLink(t, hub, "?userId=123456789");
  const greeting = await hears(ws, "CONNECTION_ESTABLISHED");
  assert.deepEqual(Object.keys(greeting), ["type", "userId", "timestamp", "message"]);
  assert.deepEqual([greeting.userId, greeting.message], ["123456789", "Connected to room updates"]);
  ws.say({ action: "JOIN_ROOM", roomId: 1, userId: "123456789" });
  ws.say({ action: "GET_ROOM_STATUS", roomId: 1 });
  const status = await hears(ws, "ROOM_STATUS");
  assert.deepEqual(Object.keys(status), ["type", "roomId", "connectedClients", "timestamp"]);
  assert.deepEqual([status.roomId, status.connectedClients], [1, 1]);
  ws.say({ action: "PING" });
  assert.deepEqual(Object.keys(await hears(ws, "PONG")), ["type", "timestamp"]);
  await act(hub, 1, "join", "1", "John Doe");
  const update = await hears(ws, "ROOM_UPDATE");
  assert.match(update.timestamp, ISO);
  assert.deepEqual(Object.entries(update).slice(0, -1), [
    ["type", "ROOM_UPDATE"],
    ["roomId", 1],
    ["event", "USER_JOINED"],
    ["participantName", "John Doe"],
    ["currentParticipants", 1],
    ["maxParticipants", 50],
    ["isFull", false],
    ["availableSlots", 49],
  ]);
  const text = openLink(t, hub, "?userId=2");
  await hears(text, "CONNECTION_ESTABLISHED");
  text.say({ action: "JOIN_ROOM", roomId: "1", userId: "2" });
  text.say({ action: "GET_ROOM_STATUS", roomId: "1" });
  assert.equal((await hears(text, "ROOM_STATUS")).roomId, "1");
  await act(hub, 1, "leave", "1");
  assert.equal((await hears(text, "ROOM_UPDATE")).roomId, "1", "the id in the form in which it came");
  text.say({ action: "LEAVE_ROOM", roomId: "1", userId: "2" });
  text.say({ action: "PING" });
  await hears(text, "PONG");
  await act(hub, 1, "join", "1", "John Doe");
  await hears(ws, "ROOM_UPDATE", (message) => message !== update && message.event === "USER_JOINED");
  await pause(100);
  assert.equal(text.heard.filter((message) => message.type === "ROOM_UPDATE").length, 1);
});

test("bad messages keep the link", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t);
  const ws = openLink(t, hub, "?userId=1");
  await hears(ws, "CONNECTION_ESTABLISHED");
  const bad = [
    ["not json", "BAD_MESSAGE"],
    ["[]", "BAD_MESSAGE"],
    ['{"roomId":1}', "BAD_MESSAGE"],
    [{ action: "DANCE" }, "UNKNOWN_ACTION"],
    [{ action: "JOIN_ROOM" }, "INVALID_REQUEST"],
    [{ action: "JOIN_ROOM", roomId: "one" }, "INVALID_REQUEST"],
    [{ action: "JOIN_ROOM", roomId: 1, userId: "2" }, "INVALID_USER"],
  ];
  for (const [message, code] of bad) {
    ws.heard.length = 0;
    ws.say(message);
    const error = await hears(ws, "ERROR");
    assert.deepEqual(Object.keys(error), ["type", "code", "message"]);
    assert.equal(error.code, code, JSON.stringify(message));
  }
  ws.say({ action: "PING" });
  await hears(ws, "PONG");
  const nobody = openLink(t, hub, "");
  assert.equal((await hears(nobody, "ERROR")).code, "INVALID_REQUEST");
  await until(() => nobody.closed, { what: "the close" });
  assert.equal(nobody.closed, 1008);
});

test("tokens say who it is", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t, { "plugins.hangouts.settings": { auth: "required" } });
  const stranger = openLink(t, hub, "?userId=1");
  await until(() => stranger.failed, { what: "a refusal" });
  assert.match(stranger.failed.message, /401/);
  const ann = openLink(t, hub, `?userId=1&token=${mint("ann")}`);
  assert.equal((await hears(ann, "CONNECTION_ESTABLISHED")).userId, "ann");
  assert.equal((await rest(hub, "GET", "/api/rooms")).status, 401);
});

test("polling agrees with the link", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t);
  const room = await newRoom(hub, 3);
  const ws = openLink(t, hub, "?userId=1");
  await hears(ws, "CONNECTION_ESTABLISHED");
  ws.say({ action: "JOIN_ROOM", roomId: room });
  ws.say({ action: "PING" });
  await hears(ws, "PONG");
  let updates = 0;
  for (const [what, user] of [["join", "a"], ["join", "b"], ["join", "c"], ["join", "d"], ["leave", "a"], ["leave", "a"], ["join", "d"]]) {
    const answer = await act(hub, room, what, user, `name of ${user}`);
    assert.equal(answer.status, what === "join" && user === "d" && updates === 3 ? 409 : 200, answer.text);
    updates += answer.json.changed ? 1 : 0;
    const seen = () => ws.heard.filter((message) => message.type === "ROOM_UPDATE");
    await until(() => seen().length === updates, { what: () => `${updates} updates; heard ${JSON.stringify(ws.heard)}` });
    const polled = (await rest(hub, "GET", `/api/rooms/${room}`)).json;
    for (const [field, value] of Object.entries(seen().at(-1))) assert.deepEqual(polled[field], value, field);
  }
  assert.deepEqual(ws.heard.map((message) => message.type).filter((type) => /FULL|AVAILABLE/.test(type)), [
    "ROOM_FULL",
    "ROOM_AVAILABLE",
    "ROOM_FULL",
  ]);
});

test("two hundred join at once", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t);
  const room = await newRoom(hub, 50);
  const ws = openLink(t, hub, "?userId=1");
  await hears(ws, "CONNECTION_ESTABLISHED");
  ws.say({ action: "JOIN_ROOM", roomId: room });
  ws.say({ action: "PING" });
  await hears(ws, "PONG");
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => act(hub, room, "join", `user-${n}`, `User ${n}`)));
  const count = (status) => answers.filter((answer) => answer.status === status).length;
  assert.deepEqual([count(200), count(409)], [50, 150]);
  const refused = answers.find((answer) => answer.status === 409);
  assert.equal(refused.json.code, "ROOM_FULL");
  assert.equal((await rest(hub, "GET", `/api/rooms/${room}`)).json.currentParticipants, 50);
  await hears(ws, "ROOM_FULL");
  const counts = ws.heard.filter((message) => message.type === "ROOM_UPDATE").map((message) => message.currentParticipants);
  assert.deepEqual(counts, Array.from({ length: 50 }, (_, n) => n + 1), "each step once and in order");
});

test("joins survive kill -9", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t);
  const room = await newRoom(hub, 10);
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => act(hub, room, "join", `user-${n}`)));
  assert.ok(answers.every((answer) => answer.status === 200));
  await hub.kill();
  await hub.start();
  const polled = (await rest(hub, "GET", `/api/rooms/${room}`)).json;
  assert.deepEqual([polled.currentParticipants, polled.isFull], [10, true]);
  assert.equal(await newRoom(hub, 5), 2, "numbers go on");
});

test("idle links are closed", { timeout: 60_000 }, async (t) => {
  const hub = await hubOf(t, { "plugins.hangouts.settings": { idle_after: "600ms" } });
  const [silent, talking] = [openLink(t, hub, "?userId=1"), openLink(t, hub, "?userId=2")];
  await hears(talking, "CONNECTION_ESTABLISHED");
  const beat = setInterval(() => talking.say({ action: "PING" }), 200);
  t.after(() => clearInterval(beat));
  assert.equal((await hears(silent, "ERROR")).code, "IDLE_TIMEOUT");
  await until(() => silent.closed, { what: "the close" });
  await pause(800);
  assert.equal(talking.closed, undefined);
});

test("keeper manages a room", { timeout: 120_000 }, async (t) => {
  const nats = await startNats(t);
  const hub = await hubOf(t, { nats: { url: nats.url } });
  const service = await openService(t, nats, ["exedra.out.hangouts.>", "exedra.dlq.>"]);
  const ws = openLink(t, hub, "?userId=1");
  await hears(ws, "CONNECTION_ESTABLISHED");
  ws.say({ action: "JOIN_ROOM", roomId: 1 });
  ws.say({ action: "PING" });
  await hears(ws, "PONG");

  const folder = mkdtempSync(path.join(tmpdir(), "exedra-publisher-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(path.join(ROOT, "examples/publishers/node"), folder, { recursive: true });
  symlinkSync(path.join(ROOT, "core/server/tests/e2e/node_modules"), path.join(folder, "node_modules"));
  const keeper = [path.join(folder, "hangout_keeper.mjs"), "Main room", "2", "Ann", "Bob", "Carol"];
  const ended = await run(process.execPath, keeper, { env: { ...process.env, NATS_URL: nats.url } });
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stdout, /Carol: ROOM_FULL/);
  assert.doesNotMatch(ended.stdout, /refused/);
  await hears(ws, "ROOM_UPDATE", (update) => update.participantName === "John Doe" && update.currentParticipants === 25);
  const events = ws.heard.filter((message) => message.type === "ROOM_UPDATE").map((message) => message.event);
  assert.deepEqual(events, ["USER_JOINED", "USER_JOINED", "ROOM_CHANGED", "USER_LEFT", "USER_LEFT", "USER_JOINED"]);
  const joined = await service.message("exedra.out.hangouts.1.joined");
  assert.deepEqual(JSON.parse(joined.text), { userId: "guest-0", userName: "Ann" });
  service.publish("exedra.in.hangouts.1.join", { userName: "nobody" });
  await service.message("exedra.dlq.hangouts", (letter) => letter.text.includes("nobody"));
});

test("demo shows it in two tabs", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...DEMO, ...HANGOUTS });
  const { open, complaints } = await openPages(t, hub);
  await newRoom(hub, 2);
  const [ann, bob] = [await open("/hangouts/?name=Ann"), await open("/hangouts/?name=Bob")];
  const row = (page) => page.getByTestId("rooms").locator('li[data-room="1"]');
  const shows = (page, pattern) =>
    until(async () => pattern.test(await row(page).innerText()), { within: 10_000, what: () => `a page to show ${pattern}` });
  for (const page of [ann, bob]) {
    await shows(page, /0\/2/);
    await until(async () => (await page.getByTestId("connection").innerText()) === "connected", { what: "the link" });
  }
  await row(ann).getByRole("button").click();
  for (const page of [ann, bob]) await shows(page, /1\/2/);
  await bob.getByTestId("polling").check();
  await row(bob).getByRole("button").click();
  await shows(ann, /2\/2/);
  await row(ann).getByRole("button").click();
  await shows(bob, /1\/2/);

  // The contract's lines for a browser's console.
  const pong = await ann.evaluate(
    () =>
      new Promise((resolve) => {
        const ws = new WebSocket(`ws://${window.location.host}/ws/rooms?userId=123456789`);
        ws.onopen = () => ws.send(JSON.stringify({ action: "PING" }));
        ws.onmessage = (e) => JSON.parse(e.data).type === "PONG" && resolve(JSON.parse(e.data));
      }),
  );
  assert.match(pong.timestamp, ISO);
  assert.deepEqual(complaints, []);
});
