// Bad input gets a clear answer and changes nothing: after every attack a well-behaved client is still served on the
// link it had before, and the hub is the same process.
// Needs: Node.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";

import { WebSocket } from "ws";

import { connectClient, newMeeting, openClient, refusedClient, rest } from "./harness/client.mjs";
import { Hub, MEETINGS, startHub } from "./harness/hub.mjs";
import { RawClient } from "./harness/raw.mjs";
import { claims, hmac, mint, now, rsa, SECRET, token } from "./harness/tokens.mjs";
import { inTime, until } from "./harness/wait.mjs";

const MAX_PAYLOAD = 1_000_000;
const SIXTY_SECONDS = { timeout: 60_000 };

/** A hub with a meeting that Ann is in; `unharmed` proves that she still is, on the link she had. */
async function scene(t, sections) {
  const hub = await startHub(t, { ...MEETINGS, ...sections });
  const meeting = await newMeeting(hub, mint("dora"), ["ann", "bob"]);
  const ann = await connectClient(t, hub, { token: mint("ann") });
  assert.equal((await ann.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  const unharmed = async (total = 1) => {
    hub.program.assertAlive();
    const asked = await ann.timeout(2_000).emitWithAck("get_participants", { meetingId: meeting });
    assert.equal(asked.totalParticipants, total);
    assert.deepEqual(ann.drops, []);
  };
  return { hub, meeting, ann, unharmed };
}

/** One Engine.IO session over polling: its sid. */
async function handshake(hub) {
  const response = await fetch(`${hub.url}/socket.io/?EIO=4&transport=polling`);
  assert.equal(response.status, 200);
  return JSON.parse((await response.text()).slice(1)).sid;
}

const poll = (hub, query, options) => fetch(`${hub.url}/socket.io/?${query}`, options);

/** Opens a WebSocket that has seen OPEN, sends the frames, and gives the code that the hub closes it with. */
async function closedAfter(t, hub, frames, auth) {
  const ws = new WebSocket(`${hub.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  t.after(() => ws.terminate());
  const closed = once(ws, "close");
  ws.on("error", () => {});
  await inTime(once(ws, "message"), 5_000, "OPEN");
  if (auth) {
    ws.send(`40${JSON.stringify(auth)}`);
    const [answer] = await inTime(once(ws, "message"), 5_000, "CONNECT");
    assert.ok(answer.toString().startsWith("40"), answer.toString());
  }
  for (const frame of frames) ws.send(frame);
  const [code] = await inTime(closed, 5_000, `the link to be closed after ${String(frames[0]).slice(0, 40)}`);
  return code;
}

test("bad handshakes answered 400", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t);
  const queries = [
    "",
    "EIO=4",
    "EIO=4&transport=carrier-pigeon",
    "EIO=3&transport=polling",
    "EIO=99&transport=polling",
    "EIO=4&transport=polling&sid=unknown",
    `EIO=4&transport=polling&sid=${"x".repeat(4_000)}`,
    "EIO=4&transport=polling&sid=%00%ff",
    "EIO=4&transport=websocket",
  ];
  for (const query of queries) assert.equal((await poll(hub, query)).status, 400, query);
  assert.equal((await poll(hub, "EIO=4&transport=polling", { method: "POST", body: "4" })).status, 400);
  for (const method of ["PUT", "DELETE", "PATCH"]) {
    const { status } = await poll(hub, "EIO=4&transport=polling", { method });
    assert.ok(status === 400 || status === 405, `${method}: ${status}`);
  }
  await unharmed();
});

test("malformed polling packets answered 400", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t);
  const bodies = ["abc", "", "9", "4\x1e", "\x1e\x1e", "b%%%", "\u00e9\u00e8"];
  for (const body of bodies) {
    const sid = await handshake(hub);
    const answer = await poll(hub, `EIO=4&transport=polling&sid=${sid}`, { method: "POST", body });
    assert.equal(answer.status, 400, JSON.stringify(body));
  }
  await unharmed();
});

test("malformed Engine.IO packets close", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t);
  const attacks = ["abc", "9", "\u00e9", Buffer.from([1, 2, 3]), "4", "4abc", "49", "40{", "40[1]", "44{}"];
  for (const frame of attacks) {
    const code = await closedAfter(t, hub, [frame]);
    assert.ok(code >= 1000 && code < 5000, `${frame}: ${code}`);
  }
  await unharmed();
});

test("malformed Socket.IO packets close", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t);
  const attacks = [
    ["42[1]"],
    ["42not json"],
    ['42{"a":1}'],
    ["42[]"],
    ['42["join_meeting"'],
    ['4599999999999-["x",{"_placeholder":true,"num":0}]'],
    ['451-["x",{"_placeholder":true,"num":7}]', Buffer.from([1])],
    ['451-["x",{"_placeholder":true,"num":0}]', '42["join_meeting",{}]'],
    [Buffer.from([1])],
    [`42${"9".repeat(400)}["x"]`],
    [`42["${"x".repeat(10_000)}"]`],
    ['44{"message":"no"}'],
  ];
  for (const frames of attacks) {
    const code = await closedAfter(t, hub, frames, { token: mint("bob") });
    assert.ok(code >= 1000 && code < 5000, `${frames[0]}: ${code}`);
  }
  await until(async () => (await hub.total("exedra_disconnects_total")) >= attacks.length, { what: "all to be counted" });
  const metrics = await hub.metrics();
  const counted = (reason) => metrics.get(`exedra_disconnects_total{reason="${reason}"}`);
  assert.equal(counted("protocol_error") + counted("too_large"), attacks.length, "each is counted with its reason");
  await unharmed();
});

test("events before CONNECT end", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t, { socketio: { connect_timeout: "1s" } });
  const begin = performance.now();
  await closedAfter(t, hub, ['42["join_meeting",{}]', '42["join_meeting",{}]']);
  assert.ok(performance.now() - begin < 3_000, "no later than the connect timeout");
  await unharmed();
});

test("oversized frames and bodies refused", SIXTY_SECONDS, async (t) => {
  const { hub, meeting, unharmed } = await scene(t);
  assert.equal(await closedAfter(t, hub, [`4${"x".repeat(MAX_PAYLOAD * 3)}`]), 1009);
  assert.equal(await closedAfter(t, hub, [Buffer.alloc(MAX_PAYLOAD + 1)]), 1009);
  const sid = await handshake(hub);
  const body = `4${"x".repeat(MAX_PAYLOAD)}`;
  const polled = await poll(hub, `EIO=4&transport=polling&sid=${sid}`, { method: "POST", body });
  assert.equal(polled.status, 413);
  const title = "x".repeat(20_000_000);
  const made = await rest(hub, "POST", "/meetings", { token: mint("dora"), body: { title, participantIds: [] } })
    // A hub that answers and closes while the body is still on its way may look like a reset.
    .catch((error) => ({ status: error.cause?.code ?? error.message }));
  assert.ok([413, "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"].includes(made.status), String(made.status));
  const long = await rest(hub, "GET", `/meetings/${"x".repeat(5_000)}`, { token: mint("ann") });
  assert.ok(long.status >= 400 && long.status < 500, `${long.status}`);
  await unharmed();
  assert.ok(meeting);
});

test("deep JSON answered, not crashed", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t);
  const deep = (depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  for (const depth of [200, 5_000, 100_000, 400_000]) {
    const made = await rest(hub, "POST", "/meetings", { token: mint("dora"), body: deep(depth) });
    assert.equal(made.status, 400, `REST, depth ${depth}: ${made.text}`);
    const bob = new RawClient(hub, { auth: { token: mint("bob") } });
    t.after(() => bob.end());
    await inTime(bob.ready, 5_000, "a raw client");
    const answers = [];
    bob.ws.on("message", (data) => answers.push(data.toString()));
    bob.ws.send(`421["join_meeting",${deep(depth)}]`);
    await until(() => bob.closed !== undefined || answers.some((answer) => answer.startsWith("431")), {
      what: () => `an answer to depth ${depth}: ${answers}`,
    });
    const answer = answers.find((one) => one.startsWith("431"));
    if (answer) assert.ok(!answer.includes('"success":true'), answer);
    await unharmed();
  }
});

test("unknown namespace and event answered", SIXTY_SECONDS, async (t) => {
  const { hub, ann, unharmed } = await scene(t);
  const error = await refusedClient(t, hub, { namespace: "/no-such-namespace", token: mint("bob") });
  assert.equal(error.message, "Invalid namespace");
  const answer = await ann.timeout(2_000).emitWithAck("no_such_event", {}).catch((late) => late.message);
  assert.ok(answer?.error ?? answer?.success === false, `an unknown event is refused: ${JSON.stringify(answer)}`);
  for (const payload of [undefined, null, 7, "x", [], {}, { meetingId: 7 }, { meetingId: "" }]) {
    const refused = await ann.timeout(2_000).emitWithAck("join_meeting", payload);
    assert.notEqual(refused.success, true, JSON.stringify(payload));
  }
  await unharmed();
});

test("bad tokens refused everywhere", SIXTY_SECONDS, async (t) => {
  const { hub, meeting, unharmed } = await scene(t);
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const [header, payload, signature] = mint("bob").split(".");
  const none = () => "";
  const bad = {
    empty: "",
    garbage: "garbage",
    "two parts": `${header}.${payload}`,
    "four parts": `${header}.${payload}.${signature}.${signature}`,
    expired: mint("bob", { exp: now() - 60 }),
    "expired long ago as text": mint("bob", { exp: "1" }),
    "without expiry": token({ alg: "HS256" }, { sub: "bob" }, hmac(SECRET)),
    "not yet valid": mint("bob", { nbf: now() + 600 }),
    "wrong key": token({ alg: "HS256" }, claims("bob"), hmac(`${SECRET}!`)),
    "changed payload": `${header}.${Buffer.from(JSON.stringify(claims("dora"))).toString("base64url")}.${signature}`,
    "alg none": token({ alg: "none" }, claims("bob"), none),
    "alg None": token({ alg: "None" }, claims("bob"), none),
    "alg HS512": token({ alg: "HS512" }, claims("bob"), hmac(SECRET, "sha512")),
    "alg RS256 with own key": token({ alg: "RS256" }, claims("bob"), rsa(keys.privateKey)),
    "signature stripped": `${header}.${payload}.`,
    "without subject": token({ alg: "HS256" }, { exp: now() + 600 }, hmac(SECRET)),
    "a megabyte": mint("bob", { filler: "x".repeat(700_000) }),
  };
  for (const [kind, one] of Object.entries(bad)) {
    const error = await refusedClient(t, hub, { token: one || undefined, transports: ["websocket"] });
    assert.equal(error.data?.code, "UNAUTHORIZED", `${kind}: ${error.message}`);
    if (one.length > 10_000) continue; // no HTTP header is that long
    const answer = await rest(hub, "GET", `/meetings/${meeting}/active-participants`, { token: one || undefined });
    assert.equal(answer.status, 401, `${kind}: ${answer.text}`);
    assert.match(answer.type, /^application\/problem\+json/);
    assert.equal(answer.json.status, 401);
    assert.ok(one.length < 8 || !answer.text.includes(one), "the token is not repeated");
  }
  const log = hub.program.lines.join("\n");
  for (const one of Object.values(bad)) assert.ok(one.length < 8 || !log.includes(one), "no token is logged");
  await unharmed();
});

test("HS and RS not confused", SIXTY_SECONDS, async (t) => {
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = keys.publicKey.export({ type: "spki", format: "pem" });
  const hub = new Hub(MEETINGS);
  t.after(() => hub.stop());
  const file = path.join(hub.dir, "public.pem");
  writeFileSync(file, pem);
  hub.configure({ ...MEETINGS, auth: { secret: undefined, public_key_file: file } });
  await hub.start();
  const right = token({ alg: "RS256" }, claims("bob"), rsa(keys.privateKey));
  const bob = await connectClient(t, hub, { token: right });
  for (const key of [pem, pem.trim(), keys.publicKey.export({ type: "spki", format: "der" }), SECRET]) {
    const confused = token({ alg: "HS256" }, claims("bob"), hmac(key));
    const error = await refusedClient(t, hub, { token: confused });
    assert.equal(error.data?.code, "UNAUTHORIZED");
  }
  assert.deepEqual(bob.drops, []);
});

test("expiry ends a live connection", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t, { auth: { leeway: "0s" } });
  const bob = openClient(t, hub, { token: mint("bob", { exp: now() + 3 }) });
  await inTime(new Promise((resolve) => bob.once("connect", resolve)), 2_500, "a short-lived client");
  await until(() => bob.drops.length > 0, { within: 5_000, what: "the end at expiry" });
  await unharmed();
});

test("bad REST input answered as problem", SIXTY_SECONDS, async (t) => {
  const { hub, meeting, unharmed } = await scene(t);
  const ann = mint("ann");
  const votes = `/meetings/${meeting}/emotional-evaluations`;
  const evaluation = (more) => ({
    evaluations: [{ targetParticipantId: "bob", emotionalScale: 50, isToxic: false, ...more }],
  });
  const refused = [
    [400, "POST", votes, "not json"],
    [400, "POST", votes, "[1,2"],
    [400, "POST", votes, {}],
    [400, "POST", votes, evaluation({ emotionalScale: 101 })],
    [400, "POST", votes, evaluation({ emotionalScale: -1 })],
    [400, "POST", votes, evaluation({ emotionalScale: "50" })],
    [400, "POST", votes, evaluation({ targetParticipantId: "ann" })],
    [400, "POST", votes, evaluation({ targetParticipantId: "eve" })],
    [404, "GET", "/meetings/no-such-meeting", undefined],
    [403, "GET", `/meetings/${meeting}/results`, undefined],
    [404, "GET", "/no/such/route", undefined],
  ];
  for (const [status, method, route, body] of refused) {
    const answer = await rest(hub, method, route, { token: ann, body });
    assert.equal(answer.status, status, `${method} ${route} ${JSON.stringify(body)}: ${answer.text}`);
    assert.match(answer.type, /^application\/problem\+json/, answer.text);
    for (const field of ["type", "title", "status", "detail", "code"]) assert.ok(field in answer.json, field);
  }
  const results = await rest(hub, "GET", `/meetings/${meeting}/results`, { token: mint("dora") });
  assert.deepEqual(results.json.phases, [], "no refused vote was counted");
  await unharmed();
});

test("raw garbage on the port", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t);
  const shots = [
    "\r\n\r\n",
    "GARBAGE\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    `GET /${"a".repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: x\r\n${"X-Y: z\r\n".repeat(5_000)}\r\n`,
    "POST /socket.io/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
  ];
  for (const shot of shots) {
    const socket = net.connect(hub.port, "127.0.0.1");
    t.after(() => socket.destroy());
    let answer = "";
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", () => {});
    socket.end(shot);
    await inTime(once(socket, "close"), 15_000, `an end of ${String(shot).slice(0, 30)}`);
    assert.ok(!answer.startsWith("HTTP/1.1 2"), answer.slice(0, 60));
  }
  await unharmed();
});

test("half-open handshakes harm nobody", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t, { limits: { connections_per_ip: 5_000, connects_per_second: 100_000 } });
  const silent = Array.from({ length: 300 }, () => net.connect(hub.port, "127.0.0.1"));
  t.after(() => silent.forEach((socket) => socket.destroy()));
  silent.forEach((socket) => socket.on("error", () => {}));
  await Promise.all(silent.map((socket) => once(socket, "connect")));
  silent.slice(0, 100).forEach((socket) => socket.write("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHos"));
  const begin = performance.now();
  const bob = await connectClient(t, hub, { token: mint("bob") });
  assert.ok(performance.now() - begin < 1_000, "others connect at once");
  assert.equal(bob.connected, true);
  await unharmed();
});

test("foreign origin refused", SIXTY_SECONDS, async (t) => {
  const { hub, unharmed } = await scene(t, { "server.cors": { origins: ["https://good.example"] } });
  const origins = [
    "https://evil.example",
    "https://good.example.evil.example",
    "http://good.example",
    "https://good.example:8443",
    "https://evil.example/https://good.example",
    "null",
  ];
  const statusOf = (origin) =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(`${hub.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, { origin });
      t.after(() => ws.terminate());
      ws.on("unexpected-response", (_, response) => resolve(response.statusCode));
      ws.on("open", () => resolve(101));
      ws.on("error", reject);
    });
  for (const origin of origins) {
    assert.equal(await statusOf(origin), 403, `WebSocket from ${origin}`);
    const polled = await poll(hub, "EIO=4&transport=polling", { headers: { origin } });
    assert.equal(polled.status, 403, `polling from ${origin}`);
  }
  assert.equal(await statusOf("https://good.example"), 101);
  const polled = await poll(hub, "EIO=4&transport=polling", { headers: { origin: "https://good.example" } });
  assert.equal(polled.status, 200);
  assert.equal(polled.headers.get("access-control-allow-origin"), "https://good.example");
  await unharmed();
});
