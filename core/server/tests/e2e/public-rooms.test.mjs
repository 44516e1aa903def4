// The public-rooms plugin on the release binary: the contract's own client code, the limit per address behind a proxy,
// the health check in quick time, operators over a real nats-server, and the demo in a real Chromium.
// Needs: Nats, Python, WebClient, Chromium.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { io } from "socket.io-client";

import { openPages } from "./harness/browser.mjs";
import { heard, openClient, rest } from "./harness/client.mjs";
import { DEMO, ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { run, tool } from "./harness/process.mjs";
import { RawClient } from "./harness/raw.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, pause, until } from "./harness/wait.mjs";

const ROOMS = { "plugins.public-rooms": { enabled: true } };
const LIMITS = { limits: { connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };
const PROXY = { server: { listen: "127.0.0.1:0", trusted_proxies: ["127.0.0.1/32"] } };
const withSettings = (settings) => ({ ...ROOMS, ...LIMITS, "plugins.public-rooms.settings": settings });

/** What a proxy says of whom it speaks for. */
const from = (address) => ({ "x-forwarded-for": address });

async function newUser(hub, userName, headers) {
  const made = await rest(hub, "POST", "/api/public/users", { body: { userName }, headers });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.json.id, made.json.userId);
  return made.json.userId;
}

async function newRoom(hub, more = {}) {
  const made = await rest(hub, "POST", "/api/public/rooms", { body: { name: "Study", ...more } });
  assert.equal(made.status, 201, made.text);
  return made.json.roomId;
}

/** A client in a room's namespace, behind the proxy when it has an address. */
function roomClient(t, hub, room, address, more = {}) {
  const extraHeaders = address && from(address);
  return openClient(t, hub, { namespace: `/public-room/${room}`, extraHeaders, ...more });
}

const connected = (socket) =>
  until(() => socket.connected, { what: () => `a connection; heard ${JSON.stringify(socket.heard)}` });

const once = (socket, event) => inTime(new Promise((resolve) => socket.once(event, resolve)), 5_000, event);

test("seed client as written", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...ROOMS, ...LIMITS });
  const roomId = await newRoom(hub, { roomId: "abc-123-def-456" });
  const userId = await newUser(hub, "John Doe");
  const said = [];

  // The contract's client, as written there but for the address and the output.
  const socket = io(`${hub.url}/public-room/${roomId}`, { transports: ["websocket", "polling"] });
  t.after(() => socket.disconnect());
  socket.on("connect", () => {
    said.push("Connected to public room");
    socket.emit("join-room", { userId, userName: "John Doe" });
  });
  socket.on("user-joined", (data) => {
    said.push(`${data.userName} joined the room`, `Current occupancy: ${data.currentOccupancy}`);
  });
  socket.on("user-left", (data) => said.push(`User ${data.userId} left the room`, `Current occupancy: ${data.currentOccupancy}`));
  socket.on("ping", () => socket.emit("pong"));
  socket.on("error", (error) => said.push(`Socket error: ${error.code}`));

  await until(() => said.length === 3, { what: () => JSON.stringify(said) });
  assert.deepEqual(said, ["Connected to public room", "John Doe joined the room", "Current occupancy: 1"]);

  const other = roomClient(t, hub, roomId);
  await connected(other);
  const otherId = await newUser(hub, "Jane Doe");
  const joined = once(socket, "user-joined");
  other.emit("join-room", { userId: otherId, userName: "Jane Doe" });
  const data = await joined;
  assert.deepEqual(Object.keys(data), ["userId", "userName", "joinedAt", "currentOccupancy"]);
  assert.deepEqual([data.userId, data.userName, data.currentOccupancy], [otherId, "Jane Doe", 2]);
  assert.equal(new Date(data.joinedAt).toISOString(), data.joinedAt);

  const gone = once(other, "disconnect");
  const left = once(socket, "user-left");
  other.emit("leave-room", { userId: otherId });
  assert.equal(await gone, "io server disconnect");
  assert.deepEqual(await left, { userId: otherId, currentOccupancy: 1 });
  assert.ok(!said.some((line) => line.startsWith("Socket error")), JSON.stringify(said));
});

test("rest goes along with sockets", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...ROOMS, ...LIMITS });
  const room = await newRoom(hub);
  const [annId, bobId] = [await newUser(hub, "Ann"), await newUser(hub, "Bob")];
  const path = `/api/public/rooms/${room}`;
  assert.equal((await rest(hub, "POST", `${path}/join`, { body: { userId: annId } })).json.currentOccupancy, 1);
  const ann = roomClient(t, hub, room);
  ann.emit("join-room", { userId: annId, userName: "Ann" });
  assert.equal((await heard(ann, "user-joined")).currentOccupancy, 1);
  const bob = roomClient(t, hub, room);
  bob.emit("join-room", { userId: bobId, userName: "Bob" });
  await heard(ann, "user-joined", (data) => data.userId === bobId && data.currentOccupancy === 2);
  const listed = await rest(hub, "GET", path);
  assert.deepEqual(listed.json.participants.map((one) => one.userName), ["Ann", "Bob"]);
  const left = await rest(hub, "POST", `${path}/leave`, { body: { userId: bobId } });
  assert.equal(left.json.currentOccupancy, 1);
  assert.deepEqual(await heard(ann, "user-left"), { userId: bobId, currentOccupancy: 1 });
  bob.io.engine.close();
  ann.disconnect();
  await until(async () => (await rest(hub, "GET", path)).json.currentOccupancy === 0, { what: "an empty room" });
  const admin = { token: mint("op", { roles: ["admin"] }) };
  const stats = await rest(hub, "GET", "/api/public/stats?ipAddress=127.0.0.1", admin);
  assert.deepEqual([stats.json.totalRooms, stats.json.totalParticipants, stats.json.connectionCount], [1, 0, 0]);
  assert.equal((await rest(hub, "GET", "/api/public/stats", { token: mint("eve") })).status, 403);
});

test("third connection is refused", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...ROOMS, ...LIMITS });
  const room = await newRoom(hub);
  const two = [roomClient(t, hub, room), roomClient(t, hub, room)];
  await Promise.all(two.map(connected));
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    const third = roomClient(t, hub, room, undefined, { transports });
    const error = await heard(third, "error");
    assert.deepEqual(Object.keys(error), ["code", "message"]);
    assert.equal(error.code, "TOO_MANY_CONNECTIONS");
    await until(() => third.drops.length === 1, { what: "the disconnect" });
    assert.deepEqual(third.drops, ["io server disconnect"]);
    assert.ok((await heard(third, "backoff")).retryAfter >= 1000);
  }
  const wish = roomClient(t, hub, room, undefined, { auth: { refuseBy: "connect-error" } });
  const refused = await once(wish, "connect_error");
  assert.equal(refused.data.code, "TOO_MANY_CONNECTIONS");
  two[0].disconnect();
  await until(
    async () => {
      const again = roomClient(t, hub, room);
      await until(() => again.connected || again.drops.length, { what: "an answer" });
      await pause(50);
      return again.connected;
    },
    { what: "the place to be free again" },
  );
});

test("spoofed addresses do not help", { timeout: 120_000 }, async (t) => {
  const direct = await startHub(t, { ...ROOMS, ...LIMITS });
  const behind = await startHub(t, { ...ROOMS, ...LIMITS, ...PROXY });
  const letIn = async (hub, addresses) => {
    const sockets = addresses.map((address) => roomClient(t, hub, "any", address));
    const settled = (socket) => socket.drops.length > 0 || (socket.connected && socket.quiet);
    for (const socket of sockets) socket.on("connect", () => setTimeout(() => (socket.quiet = true), 500));
    await until(() => sockets.every(settled), { within: 30_000, what: "all to be let in or refused" });
    return sockets.filter((socket) => socket.connected).length;
  };
  const others = Array.from({ length: 10 }, (_, n) => `198.51.100.${n}`);
  assert.equal(await letIn(direct, others), 2, "no proxy is trusted: the header says nothing");
  assert.equal(await letIn(behind, others), 10, "a trusted proxy speaks for ten clients");
  const forged = others.map((address) => `${address}, 203.0.113.9`);
  assert.equal(await letIn(behind, forged), 2, "what the client itself wrote is not believed");
  const slash64 = Array.from({ length: 100 }, (_, n) => `2001:db8:1:2:${n.toString(16)}::${(n * 641 + 1).toString(16)}`);
  assert.equal(await letIn(behind, slash64), 2, "a /64 is one client");
});

test("silent client is timed out", { timeout: 60_000 }, async (t) => {
  const quick = { idle_after: "500ms", ping_interval: "500ms", pong_timeout: "100ms", max_missed_pings: 3 };
  const hub = await startHub(t, withSettings(quick));
  const room = await newRoom(hub);
  const [silent, good] = [roomClient(t, hub, room), roomClient(t, hub, room)];
  good.on("ping", () => good.emit("pong"));
  const at = [];
  let since;
  silent.on("connect", () => (since = performance.now()));
  for (const event of ["ping", "error"]) silent.on(event, () => at.push(performance.now() - since));
  await until(() => silent.drops.length > 0, { within: 10_000, what: "the timeout" });
  assert.equal(silent.heard.at(-1).args[0].code, "CONNECTION_TIMEOUT");
  assert.deepEqual(silent.heard.map((one) => one.event), ["ping", "ping", "ping", "error"]);
  assert.deepEqual(silent.heard[0].args, [], "no payload");
  for (const [n, due] of [500, 1000, 1500, 1600].entries()) {
    assert.ok(Math.abs(at[n] - due) < 150, `${at.map(Math.round)} ms, due at 500, 1000, 1500, 1600`);
  }
  await pause(1_000);
  assert.ok(good.connected, "who answers stays");
  assert.equal(await hub.total("exedra_public_rooms_pong_seconds_count") > 0, true);
});

test("every code is heard", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, withSettings({ connections_per_ip: 100 }));
  const room = await newRoom(hub, { maxOccupancy: 1 });
  const [annId, bobId] = [await newUser(hub, "Ann"), await newUser(hub, "Bob")];
  const ann = roomClient(t, hub, room);
  const codes = async (event, payload, code) => {
    ann.heard.length = 0;
    ann.emit(event, payload);
    await heard(ann, "error", (error) => error.code === code);
  };
  await codes("join-room", {}, "INVALID_REQUEST");
  await codes("leave-room", undefined, "INVALID_REQUEST");
  await codes("join-room", { userId: "nobody", userName: "x" }, "INVALID_USER");
  await codes("leave-room", { userId: annId }, "LEAVE_ERROR");
  const lost = roomClient(t, hub, "no-such-room");
  lost.emit("join-room", { userId: annId, userName: "Ann" });
  await heard(lost, "error", (error) => error.code === "ROOM_NOT_FOUND");
  const bob = roomClient(t, hub, room);
  bob.emit("join-room", { userId: bobId, userName: "Bob" });
  await heard(bob, "user-joined");
  await codes("join-room", { userId: annId, userName: "Ann" }, "JOIN_ERROR");
  const odd = roomClient(t, hub, "a!b");
  await heard(odd, "error", (error) => error.code === "INVALID_REQUEST");
  await until(() => odd.drops.length === 1, { what: "the disconnect" });
  assert.ok(ann.connected, "an error does not end the connection");
});

test("fifty enter at once", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, withSettings({ connections_per_ip: 50 }));
  const room = await newRoom(hub);
  const ids = await Promise.all(Array.from({ length: 50 }, (_, n) => newUser(hub, `user ${n}`)));
  const sockets = ids.map((userId) => {
    const socket = roomClient(t, hub, room);
    socket.on("connect", () => socket.emit("join-room", { userId, userName: "x" }));
    return socket;
  });
  const seen = (socket) =>
    new Set(socket.heard.filter((one) => one.event === "user-joined").map((one) => one.args[0].userId));
  await until(() => sockets.every((socket) => seen(socket).size === 50), {
    within: 15_000,
    what: () => `all to see each other: ${sockets.map((socket) => seen(socket).size)}`,
  });
});

test("ten thousand addresses of a /64 are one", { timeout: 240_000 }, async (t) => {
  const hub = await startHub(t, { ...ROOMS, ...LIMITS, ...PROXY });
  let [inside, refused] = [0, 0];
  const kept = [];
  t.after(() => kept.forEach((client) => client.end()));
  const knock = async (n) => {
    const hex = (number) => number.toString(16);
    const address = `2001:db8:7:7:${hex(n >> 8)}:${hex(n & 255)}:0:${hex((n * 7919 + 1) % 65521)}`;
    let why;
    const told = new Promise((resolve) => (why = resolve));
    const onPacket = (packet) => {
      if (packet.includes("TOO_MANY_CONNECTIONS")) why("refused");
      else if (packet.startsWith("40")) setTimeout(why, 2_000, "inside");
    };
    const client = new RawClient(hub, { headers: from(address), namespace: "/public-room/any", onPacket });
    const end = await inTime(told, 20_000, `an answer for ${address}`);
    if (end === "inside") {
      inside += 1;
      kept.push(client);
    } else {
      refused += 1;
      client.end();
    }
  };
  await knock(0);
  await knock(1);
  for (let n = 2; n < 10_000; n += 100) {
    await Promise.all(Array.from({ length: Math.min(100, 10_000 - n) }, (_, at) => knock(n + at)));
  }
  assert.deepEqual({ inside, refused }, { inside: 2, refused: 9_998 });
});

test("tried names leave nothing", { timeout: 900_000 }, async (t) => {
  const names = process.env.EXEDRA_SOAK ? 1_000_000 : 20_000;
  const hub = await startHub(t, withSettings({ connections_per_ip: 100 }));
  const tried = async (link, count) => {
    let waiting;
    const client = new RawClient(hub, { onPacket: (packet) => packet.startsWith("40/") && waiting?.(packet) });
    t.after(() => client.end());
    await until(() => client.ws.readyState === 1, { what: "a link" });
    for (let n = 0; n < count; n += 1) {
      const room = `/public-room/name-${link}-${n}`;
      const joined = new Promise((resolve) => (waiting = resolve));
      client.ws.send(`40${room},`);
      const packet = await inTime(joined, 10_000, room);
      assert.ok(packet.startsWith(`40${room},`), packet);
      client.ws.send(`41${room},`);
    }
  };
  const wave = (count) => Promise.all([0, 1, 2, 3].map((link) => tried(link, count / 4)));
  const gone = () =>
    until(async () => (await hub.metrics()).get('exedra_rooms{plugin="public-rooms"}') === 0, { what: "no rooms" });
  const resident = async () => (await hub.metrics()).get("process_resident_memory_bytes");
  await wave(4_000);
  await gone();
  const before = await resident();
  await wave(names);
  await gone();
  const grown = (await resident()) - before;
  t.diagnostic(`${names} names tried, resident memory grew by ${(grown / 2 ** 20).toFixed(1)} MiB`);
  assert.ok(grown < 8 * 2 ** 20, `${grown} bytes`);
  assert.equal(await hub.total("exedra_public_rooms_connections"), 0);
});

test("users and rooms survive kill -9", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...ROOMS, ...LIMITS });
  const [room, userId] = [await newRoom(hub), await newUser(hub, "Ann")];
  await hub.kill();
  await hub.start();
  const ann = roomClient(t, hub, room);
  ann.emit("join-room", { userId, userName: "Ann" });
  assert.equal((await heard(ann, "user-joined")).userName, "Ann");
});

test("operator reaches the room", { timeout: 120_000 }, async (t) => {
  const nats = await startNats(t);
  const hub = await startHub(t, { ...ROOMS, ...LIMITS, nats: { url: nats.url } });
  const service = await openService(t, nats, ["exedra.out.public-rooms.>", "exedra.dlq.>"]);
  const ann = roomClient(t, hub, "lobby");
  await connected(ann);
  const update = { message: "Room capacity changed" };
  service.publish("exedra.in.public-rooms.lobby.room-update", update);
  assert.deepEqual(await heard(ann, "room-update"), update);
  const counted = await service.request("exedra.rpc.public-rooms.connections", { ipAddress: "127.0.0.1" });
  assert.equal((counted.ok ?? counted).connectionCount, 1);
  service.publish("exedra.in.public-rooms.lobby.disconnect", {});
  await service.message("exedra.dlq.public-rooms");

  const folder = mkdtempSync(path.join(tmpdir(), "exedra-publisher-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(path.join(ROOT, "examples/publishers/node"), folder, { recursive: true });
  symlinkSync(path.join(ROOT, "core/server/tests/e2e/node_modules"), path.join(folder, "node_modules"));
  const python = [tool("PYTHON"), [path.join(ROOT, "examples/publishers/python/room_operator.py"), "lobby", "--message", "from Python"]];
  const node = [process.execPath, [path.join(folder, "room_operator.mjs"), "lobby", "from Node"]];
  for (const [[program, args], message] of [[python, "from Python"], [node, "from Node"]]) {
    const ended = await run(program, args, { env: { ...process.env, NATS_URL: nats.url } });
    assert.equal(ended.code, 0, ended.stderr);
    await heard(ann, "room-update", (data) => data.message === message);
  }
  const userId = await newUser(hub, "Ann");
  ann.emit("join-room", { userId, userName: "Ann" });
  const joined = await service.message("exedra.out.public-rooms.lobby.joined");
  assert.equal(JSON.parse(joined.text).userId, userId);
});

test("demo shows it in two tabs", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...DEMO, ...ROOMS });
  const { open, complaints } = await openPages(t, hub);
  const [ann, bob] = [await open("/public-rooms/?name=Ann"), await open("/public-rooms/?name=Bob")];
  const shows = (page, id, pattern) =>
    until(async () => pattern.test(await page.getByTestId(id).innerText()), {
      within: 10_000,
      what: () => `${id} to show ${pattern}`,
    });
  for (const page of [ann, bob]) {
    await until(async () => (await page.getByTestId("rooms").inputValue()) === "lobby", { what: "the lobby" });
    await page.getByTestId("enter").click();
    await shows(page, "message", /You are in/);
  }
  for (const page of [ann, bob]) await shows(page, "occupancy", /^2$/);
  await bob.getByTestId("wave").click();
  await shows(ann, "tried", /Bob waves/);
  await ann.getByTestId("third").click();
  await shows(ann, "tried", /TOO_MANY_CONNECTIONS/);
  await bob.getByTestId("leave").click();
  await shows(ann, "occupancy", /^1$/);
  await shows(bob, "connection", /disconnected/);
  assert.deepEqual(complaints, []);
});
