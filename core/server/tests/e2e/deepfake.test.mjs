// The deepfake plugin on the release binary: the contract's own client code, engines over a real nats-server, the
// audit trail through kill -9, and a meeting of two hundred. Pages of the demo in a real Chromium.
// Needs: Nats, Python, WebClient, Chromium.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { headers as natsHeaders } from "nats";
import { io } from "socket.io-client";

import { openPages } from "./harness/browser.mjs";
import { connectClient, heard, refusedClient, rest } from "./harness/client.mjs";
import { DEMO, MEETINGS, ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { run, tool } from "./harness/process.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, pause, until } from "./harness/wait.mjs";

const MEETING = "123456789";
const DEEPFAKE = { "plugins.deepfake": { enabled: true } };
const LIMITS = { limits: { connections_per_ip: 10_000, connects_per_second: 100_000, events_per_second: 100_000 } };
const tokenOf = (user, more) => mint(user, { name: `${user} Doe`, ...more });
const detector = mint("engine", { roles: ["detector"] });

/** Hub, nats-server, an outside service, and Ann in the meeting. */
async function scene(t, sections = {}) {
  const nats = await startNats(t);
  const hub = await startHub(t, { ...DEEPFAKE, ...LIMITS, nats: { url: nats.url }, ...sections });
  const service = await openService(t, nats, ["exedra.out.deepfake.>", "exedra.dlq.>"]);
  const ann = await member(t, hub, "ann");
  const engine = (event, payload) => service.request(`exedra.in.deepfake.${MEETING}.${event}`, payload);
  return { nats, hub, service, ann, engine };
}

async function member(t, hub, user, options = {}) {
  const socket = await connectClient(t, hub, { token: tokenOf(user), ...options });
  const answer = await socket.emitWithAck("join-meeting", { meetingId: MEETING });
  assert.equal(answer.success, true, JSON.stringify(answer));
  return socket;
}

/** The client of the contract, as written there, with the token of its security section. */
function seedClient(t, hub, token) {
  const socket = io(hub.url, {
    transports: ["websocket", "polling"],
    reconnection: true,
    reconnectionDelay: 1000,
    reconnectionDelayMax: 5000,
    reconnectionAttempts: 5,
    forceNew: true,
    auth: { token },
  });
  t.after(() => socket.disconnect());
  return socket;
}

const once = (socket, event) => inTime(new Promise((resolve) => socket.once(event, resolve)), 5_000, event);

test("seed client joins and leaves", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, DEEPFAKE);
  const client = seedClient(t, hub, tokenOf("user123"));
  await once(client, "connect");
  client.emit("join-meeting", { meetingId: "test-123" });
  const data = await once(client, "meeting-joined");
  assert.equal(data.meetingId, "test-123");
  assert.deepEqual(data.participants.map((person) => person.userId), ["user123"]);

  const other = seedClient(t, hub, tokenOf("user456", { name: "Jane Doe" }));
  await once(other, "connect");
  const joined = once(client, "participant-joined");
  other.emit("join-meeting", { meetingId: "test-123", userId: "user456" });
  const { timestamp, ...who } = await joined;
  assert.deepEqual(who, { userId: "user456", userName: "Jane Doe" });
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

  const left = once(client, "participant-left");
  other.emit("leave-meeting", { meetingId: "test-123" });
  assert.deepEqual(await once(other, "meeting-left"), { meetingId: "test-123" });
  assert.deepEqual(Object.keys(await left), ["userId", "timestamp"]);
  const gone = once(client, "disconnect");
  client.disconnect();
  await gone;
});

test("seed events arrive as written", { timeout: 60_000 }, async (t) => {
  const { ann, service, engine } = await scene(t);
  const detection = {
    meetingId: MEETING,
    participantId: "participant1",
    results: {
      audioAnalysis: { voiceCloneScore: 0.85, confidence: 0.92, features: ["pitch_variation", "energy_contour"] },
      videoAnalysis: { facialConsistency: 0.78, lipSyncError: 0.05, confidence: 0.88 },
      behavioralAnalysis: { emotionConsistency: 0.82, confidence: 0.9 },
    },
    timestamp: "2026-01-20T10:30:00Z",
  };
  const trust = { meetingId: MEETING, participantId: "participant1", trustScore: 0.92, timestamp: "2026-01-20T10:30:05Z" };
  const alert = {
    meetingId: MEETING,
    participantId: "participant1",
    severity: "high",
    message: "Possible voice cloning detected",
    type: "voice_clone_detected",
    confidence: 0.95,
    timestamp: "2026-01-20T10:30:10Z",
    actionRequired: true,
  };
  const analytics = {
    meetingId: MEETING,
    analytics: {
      totalParticipants: 5,
      anomaliesDetected: 2,
      averageTrustScore: 0.87,
      detectionModality: {
        audio: { detected: 1, confidence: 0.93 },
        video: { detected: 1, confidence: 0.85 },
        behavioral: { detected: 0, confidence: 0.98 },
      },
      cpuUsage: 45.2,
      memoryUsage: 62.8,
      processedFrames: 1250,
    },
    timestamp: "2026-01-20T10:30:15Z",
  };
  for (const [event, payload] of Object.entries({
    "detection-update": detection,
    "trust-score-update": trust,
    "deepfake-alert": alert,
    "analytics-update": analytics,
  })) {
    assert.deepEqual(await engine(event, payload), { ok: true }, event);
  }
  assert.deepEqual(await heard(ann, "detection-update"), detection);
  assert.deepEqual(await heard(ann, "trust-score-update"), { ...trust, trustLevel: "green" });
  const { alertId, ...raised } = await heard(ann, "deepfake-alert");
  assert.deepEqual(raised, alert);
  assert.deepEqual(await heard(ann, "analytics-update", (data) => data.analytics.processedFrames === 1250), analytics);
  const out = await service.message(`exedra.out.deepfake.${MEETING}.alert`);
  assert.deepEqual(JSON.parse(out.text), { ...alert, alertId });

  const acknowledgment = await ann.emitWithAck("ack-alert", { meetingId: MEETING, alertId });
  assert.equal(acknowledgment.success, true, JSON.stringify(acknowledgment));
  assert.equal((await heard(ann, "alert-acknowledged")).userId, "ann");
});

test("errors look as in the contract", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, DEEPFAKE);
  for (const token of [undefined, "jwt_token_here"]) {
    assert.equal((await refusedClient(t, hub, { token })).message, "Authentication failed");
  }
  const client = await connectClient(t, hub, { token: tokenOf("ann") });
  client.emit("join-meeting", {});
  const { detail, ...error } = await heard(client, "error");
  assert.deepEqual(error, {
    code: "INVALID_MEETING_ID",
    message: "Meeting ID is invalid or not provided",
    severity: "error",
  });
  const engine = await connectClient(t, hub, { token: detector });
  engine.emit("detection-results", { participantId: "participant1" });
  assert.equal((await heard(engine, "error")).message, "Invalid data");
  const refused = await client.emitWithAck("detection-results", { meetingId: MEETING, participantId: "p", results: {} });
  assert.deepEqual([refused.success, refused.error.code], [false, "NOT_A_DETECTOR"]);
  for (const socket of [client, engine]) assert.equal(socket.connected, true, "an error closes nothing");
});

test("bad injections become dead letters", { timeout: 60_000 }, async (t) => {
  const { ann, service, engine } = await scene(t);
  const bad = [
    ["trust-score-update", { participantId: "p", trustScore: 1.2 }],
    ["trust-score-update", { trustScore: 0.5 }],
    ["deepfake-alert", { participantId: "p", severity: "huge", message: "m" }],
    ["detection-update", { participantId: "p", results: { audioAnalysis: { voiceCloneScore: -1 } } }],
  ];
  for (const [event, payload] of bad) assert.equal((await engine(event, payload)).error?.code, "INVALID");
  await until(() => service.heard.filter((one) => one.subject === "exedra.dlq.deepfake").length === bad.length, {
    what: "a letter for each",
  });
  await engine("trust-score-update", { participantId: "p", trustScore: 0.3 });
  assert.equal((await heard(ann, "trust-score-update")).trustLevel, "red");
  assert.equal(ann.heard.filter((one) => one.event === "deepfake-alert").length, 0);
});

test("seed client reads statistics", { timeout: 60_000 }, async (t) => {
  const { hub, ann } = await scene(t);
  const bob = await connectClient(t, hub, { token: tokenOf("bob"), transports: ["polling"] });
  const route = "/api/meetings/stats/connections";
  const stats = (await rest(hub, "GET", route, { token: tokenOf("bob") })).json;
  assert.deepEqual([stats.activeConnections, stats.activeMeetings], [2, 1]);
  assert.deepEqual(stats.connectedClients.map((client) => client.id), [ann.id, bob.id]);
  assert.ok(Math.abs(Date.parse(stats.connectedClients[0].connectedAt) - Date.now()) < 60_000);
  const anonymous = await rest(hub, "GET", route);
  assert.deepEqual([anonymous.status, anonymous.type], [401, "application/problem+json"]);
  ann.disconnect();
  await until(async () => (await rest(hub, "GET", route, { token: tokenOf("bob") })).json.activeConnections === 1, {
    what: "the closed connection to be gone",
  });
});

test("frames arrive bit for bit", { timeout: 60_000 }, async (t) => {
  const { hub, service, ann } = await scene(t);
  const bob = await member(t, hub, "bob", { transports: ["polling"] });
  const frame = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, at) => (at * 31 + (at >> 8)) % 256));
  const about = natsHeaders();
  about.set("Frame-Meta", JSON.stringify({ participantId: "participant1", timestamp: "2026-01-20T10:30:00Z" }));
  service.connection.publish(`exedra.in.deepfake.${MEETING}.video-frame`, frame, { headers: about });
  for (const socket of [ann, bob]) {
    await heard(socket, "video-frame");
    const [data, meta] = socket.heard.find((one) => one.event === "video-frame").args;
    assert.ok(Buffer.isBuffer(data) && data.equals(frame));
    const said = { binary: true, meetingId: MEETING, participantId: "participant1", timestamp: "2026-01-20T10:30:00Z" };
    assert.deepEqual(meta, said);
  }
  const engine = await connectClient(t, hub, { token: detector });
  const answer = await engine.emitWithAck("video-frame", frame.subarray(7), { meetingId: MEETING, participantId: "p" });
  assert.deepEqual(answer, { success: true });
  await until(() => ann.heard.filter((one) => one.event === "video-frame").length === 2, { what: "the second frame" });
  assert.ok(ann.heard.findLast((one) => one.event === "video-frame").args[0].equals(frame.subarray(7)));
});

test("large analytics travel compressed", { timeout: 60_000 }, async (t) => {
  const { hub, service } = await scene(t);
  const each = Array.from({ length: 40 }, (_, n) => ({ participantId: `participant-${n}`, trustScore: n / 40 }));
  const payload = { analytics: { totalParticipants: 40, each } };
  assert.ok(JSON.stringify(payload).length > 2_048);
  const bytesOf = async (perMessageDeflate) => {
    const viewer = await member(t, hub, `viewer-${perMessageDeflate}`, { perMessageDeflate });
    const socket = viewer.io.engine.transport.ws._socket;
    const before = socket.bytesRead;
    viewer.heard.length = 0;
    service.publish(`exedra.in.deepfake.${MEETING}.analytics-update`, payload);
    await until(() => viewer.heard.some((one) => one.args[0]?.analytics?.each?.length === 40), { what: "the analytics" });
    viewer.disconnect();
    return socket.bytesRead - before;
  };
  const [offered, plain] = [await bytesOf({}), await bytesOf(false)];
  assert.ok(plain > 2_048, `${plain} bytes plain`);
  assert.ok(offered < plain / 2, `${offered} of ${plain} bytes`);
});

test("alerts survive a kill", { timeout: 120_000 }, async (t) => {
  const { hub, engine, ann } = await scene(t);
  const answered = [];
  const raise = async (number) => {
    const message = `alert ${number}`;
    const answer = await engine("deepfake-alert", { participantId: "p", severity: "medium", message });
    if (answer.ok) answered.push(message);
  };
  await Promise.all(Array.from({ length: 40 }, (_, number) => raise(number)));
  const { alertId } = await heard(ann, "deepfake-alert");
  assert.equal((await ann.emitWithAck("ack-alert", { meetingId: MEETING, alertId })).success, true);
  await engine("trust-score-update", { participantId: "p", trustScore: 0.25 });
  await pause(2_500); // more than one interval of analytics
  const more = Array.from({ length: 40 }, (_, number) => raise(100 + number).catch(() => {}));
  await pause(15);
  await hub.kill("SIGKILL");
  await inTime(Promise.race([Promise.all(more), pause(200)]), 10_000, "the rest");
  const kept = answered.length;
  assert.ok(kept >= 40, `${kept} alerts were answered`);
  await hub.start();
  const route = `/api/meetings/${MEETING}/alerts?limit=500`;
  const trail = (await rest(hub, "GET", route, { token: tokenOf("ann") })).json.alerts;
  const messages = new Set(trail.map((alert) => alert.message));
  assert.deepEqual(answered.slice(0, kept).filter((message) => !messages.has(message)), [], "what was answered is there");
  assert.equal(messages.size, trail.length, "nothing is there twice");
  assert.equal(trail.find((alert) => alert.alertId === alertId).acknowledgements[0].userId, "ann");
  const analytics = (await rest(hub, "GET", `/api/meetings/${MEETING}/analytics`, { token: tokenOf("ann") })).json;
  assert.equal(analytics.analytics.averageTrustScore, 0.25, "the numbers are there too");
});

test("two hundred participants are throttled", { timeout: 180_000 }, async (t) => {
  const CROWD = 200;
  const SECONDS = 6;
  const { hub, service } = await scene(t);
  const watcher = await member(t, hub, "watcher");
  const late = [];
  const arrived = new Map();
  watcher.on("deepfake-alert", (alert) => late.push(performance.now() - alert.sentAt));
  watcher.on("detection-update", (update) => {
    const list = arrived.get(update.participantId) ?? arrived.set(update.participantId, []).get(update.participantId);
    list.push({ turn: update.turn, at: performance.now() });
  });
  const tokens = Array.from({ length: CROWD - 1 }, (_, at) => tokenOf(`viewer-${at}`));
  const local = Array.from({ length: 8 }, (_, at) => `127.0.0.${at + 1}`);
  const worker = new Worker(new URL("./peers/viewers.mjs", import.meta.url), {
    workerData: { hub: { url: hub.url }, meeting: MEETING, tokens, local },
  });
  t.after(() => worker.terminate());
  const next = () => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  await inTime(next(), 60_000, "the viewers");
  await pause(500);

  const publish = (event, payload) => service.publish(`exedra.in.deepfake.${MEETING}.${event}`, payload);
  const results = { audioAnalysis: { voiceCloneScore: 0.2, confidence: 0.9 } };
  let alerts = 0;
  const began = performance.now();
  // Each participant five times a second, not all at the same moment; twenty alerts a second.
  const SLICES = 8;
  for (let slice = 0; slice < SECONDS * 5 * SLICES; slice += 1) {
    const turn = Math.floor(slice / SLICES);
    for (let at = slice % SLICES; at < CROWD; at += SLICES) {
      publish("detection-update", { participantId: `p-${at}`, results, turn });
    }
    if (slice % 2 === 0) {
      alerts += 1;
      publish("deepfake-alert", { participantId: "p-1", severity: "high", message: "m", sentAt: performance.now() });
    }
    await pause(Math.max(0, began + ((slice + 1) * 200) / SLICES - performance.now()));
  }
  await pause(1_500);
  assert.equal(late.length, alerts, "no alert is lost");
  late.sort((a, b) => a - b);
  const p99 = late[Math.ceil(late.length * 0.99) - 1];
  assert.ok(p99 <= 100, `alerts are late by ${p99.toFixed(1)} ms at the 99th percentile`);
  assert.equal(arrived.size, CROWD);
  for (const [participant, list] of arrived) {
    assert.equal(list.at(-1).turn, SECONDS * 5 - 1, `${participant} ends on the newest`);
    assert.ok(list.length <= SECONDS * 2 + 2, `${participant} came ${list.length} times`);
    assert.ok(list.length >= SECONDS, `${participant} came ${list.length} times`);
    assert.deepEqual(list.map((one) => one.turn), list.map((one) => one.turn).toSorted((a, b) => a - b));
  }
  const report = next();
  worker.postMessage("report");
  const { counts, closed } = await inTime(report, 10_000, "the viewers' counts");
  assert.equal(closed, 0, "nobody was closed");
  assert.deepEqual([...new Set(counts.map((count) => count.alerts))], [alerts], "every viewer got every alert");
  const delivered = counts.reduce((sum, count) => sum + count.all, 0);
  t.diagnostic(`${delivered} events to ${CROWD} viewers; alerts p50 ${late[late.length >> 1].toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
});

test("engines in three languages are heard", { timeout: 180_000 }, async (t) => {
  const { nats, ann } = await scene(t);
  const env = { ...process.env, NATS_URL: nats.url };
  const python = [tool("PYTHON"), [path.join(ROOT, "examples/publishers/python/detection_engine.py"), MEETING, "--seconds", "1.5"]];
  const rust = [path.join(tool("EXEDRA_BIN_DIR"), "detection-engine"), [MEETING, "1.5"]];
  const folder = mkdtempSync(path.join(tmpdir(), "exedra-publisher-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(path.join(ROOT, "examples/publishers/node"), folder, { recursive: true });
  symlinkSync(path.join(ROOT, "core/server/tests/e2e/node_modules"), path.join(folder, "node_modules"));
  const node = [process.execPath, [path.join(folder, "detection_engine.mjs"), MEETING, "1.5"]];
  for (const [program, args] of [python, node, rust]) {
    ann.heard.length = 0;
    const ended = await run(program, args, { env });
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stdout + ended.stderr, /"ok":\s*true/);
    await heard(ann, "trust-score-update", (update) => update.participantId === "carol");
    await heard(ann, "detection-update", (update) => update.results.audioAnalysis.voiceCloneScore > 0.5);
    await heard(ann, "deepfake-alert", (alert) => alert.severity === "high");
    await heard(ann, "video-frame", (frame) => frame.subarray(0, 2).toString() === "BM");
  }
});

test("rooms of equal names never mix", { timeout: 60_000 }, async (t) => {
  const { hub, service } = await scene(t, MEETINGS);
  const body = { meetingId: MEETING, participantIds: ["bob"] };
  assert.equal((await rest(hub, "POST", "/meetings", { token: tokenOf("dora"), body })).status, 201);
  const [ann, bob] = [await member(t, hub, "ann"), await connectClient(t, hub, { token: tokenOf("bob") })];
  assert.equal((await bob.emitWithAck("join_meeting", { meetingId: MEETING })).success, true);
  service.publish(`exedra.in.meetings.${MEETING}.phase`, { phase: "vote", status: "active" });
  service.publish(`exedra.in.deepfake.${MEETING}.trust-score-update`, { participantId: "p", trustScore: 0.5 });
  await heard(bob, "phaseChanged");
  await heard(ann, "trust-score-update");
  await pause(150);
  const names = (socket) => new Set(socket.heard.map((one) => one.event));
  for (const event of ["phaseChanged", "participants_updated"]) assert.equal(names(ann).has(event), false, event);
  for (const event of ["trust-score-update", "analytics-update"]) assert.equal(names(bob).has(event), false, event);
});

test("demo shows it in two tabs", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...DEMO, ...DEEPFAKE, "plugins.deepfake.settings": { detectors: "anyone" } });
  const { open, complaints } = await openPages(t, hub);
  const [ann, bob] = [await open("/deepfake/?user=ann"), await open("/deepfake/?user=bob")];
  for (const page of [ann, bob]) await page.getByTestId("join").click();
  const shows = (page, id, pattern) =>
    until(async () => pattern.test(await page.getByTestId(id).innerText()), {
      within: 10_000,
      what: () => `${id} to show ${pattern}`,
    });
  for (const page of [ann, bob]) await shows(page, "count", /^2$/);
  await ann.getByTestId("engine").click();
  await shows(bob, "scores", /0\.\d\d/);
  await shows(bob, "frame-about", /\d+ bytes/);
  await shows(bob, "analytics", /CPU/);
  await ann.getByTestId("raise").click();
  await shows(bob, "alerts", /voice cloning/);
  await bob.getByTestId("alerts").getByRole("button", { name: "Seen" }).first().click();
  await shows(ann, "alerts", /seen by Bob/i);
  await bob.close();
  await shows(ann, "count", /^1$/);
  assert.deepEqual(complaints, []);
});
