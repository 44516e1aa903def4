// The live-preview plugin on the release binary: the contract's own client code, trackers over REST and a real
// nats-server, lost connections and kill -9, and the demo in a real Chromium.
// Needs: Nats, WebClient, Chromium.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { headers as natsHeaders } from "nats";
import { io } from "socket.io-client";

import { openPages } from "./harness/browser.mjs";
import { connectClient, heard, refusedClient, rest } from "./harness/client.mjs";
import { DEMO, ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { run } from "./harness/process.mjs";
import { mint, now } from "./harness/tokens.mjs";
import { inTime, pause, until } from "./harness/wait.mjs";

const PREVIEW = { "plugins.live-preview": { enabled: true } };

async function newProject(hub, owner, name = "Form") {
  const made = await rest(hub, "POST", "/api/projects", { token: mint(owner), body: { name } });
  assert.equal(made.status, 201, made.text);
  return { id: made.json.projectId, key: made.json.apiKey, owner };
}

const track = (hub, project, route, body = {}) =>
  rest(hub, "POST", route, { body, headers: { "x-api-key": project.key } });

async function newSession(hub, project, externalUserId = "user-456") {
  const made = await track(hub, project, `/api/projects/${project.id}/sessions`, { externalUserId });
  assert.equal(made.status, 201, made.text);
  return made.json.sessionId;
}

async function viewer(t, hub, project, options = {}) {
  const socket = await connectClient(t, hub, { token: mint(project.owner), ...options });
  const answer = await socket.emitWithAck("join-project", { projectId: project.id });
  assert.equal(answer.success, true, JSON.stringify(answer));
  return socket;
}

const count = (socket, event) => socket.heard.filter((one) => one.event === event).length;

test("seed client sees a session", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const project = await newProject(hub, "ann");
  const token = mint("ann");

  // As the contract has it.
  const socket = io(hub.url, { auth: { token } });
  t.after(() => socket.disconnect());
  const seen = [];
  for (const event of ["event-received", "session-started", "session-ended", "error"]) {
    socket.on(event, (data) => seen.push([event, data]));
  }
  await inTime(new Promise((resolve) => socket.on("connect", resolve)), 5_000, "the connection");
  socket.emit("join-project", { projectId: project.id, token });
  await until(async () => (await rest(hub, "GET", `/api/projects/${project.id}/viewers`, { token })).json.count === 1, {
    what: "the viewer to be in",
  });

  const session = await newSession(hub, project);
  const event = { eventType: "keydown", timestamp: new Date().toISOString(), keyChar: "a" };
  assert.equal((await track(hub, project, `/api/sessions/${session}/events`, { events: [event] })).status, 201);
  assert.equal((await track(hub, project, `/api/sessions/${session}/submit`)).status, 200);
  await until(() => seen.length === 3, { what: () => `three events; ${JSON.stringify(seen)}` });
  const who = { sessionId: session, externalUserId: "user-456" };
  const [started, received, ended] = seen;
  assert.match(started[1].timestamp, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(started, ["session-started", { ...who, timestamp: started[1].timestamp }]);
  assert.deepEqual(received, ["event-received", { ...who, event }]);
  assert.deepEqual(ended, ["session-ended", { ...who, submitted: true, timestamp: ended[1].timestamp }]);

  socket.emit("leave-project", { projectId: project.id });
  await until(async () => (await rest(hub, "GET", `/api/projects/${project.id}/viewers`, { token })).json.count === 0, {
    what: "the viewer to be out",
  });
  await newSession(hub, project);
  await pause(200);
  assert.equal(seen.length, 3, "who has left sees nothing");
});

test("tokens come either way", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const project = await newProject(hub, "ann");
  for (const transports of [["websocket"], ["polling"]]) {
    const socket = await connectClient(t, hub, { query: { token: mint("ann") }, transports });
    assert.equal((await socket.emitWithAck("join-project", { projectId: project.id })).success, true);
  }
});

test("bad tokens are refused", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  for (const token of [undefined, "your-jwt-token", mint("ann", { exp: now() - 3600 })]) {
    const error = await refusedClient(t, hub, { token });
    assert.equal(error.message, "Authentication failed");
  }
});

test("every code is told", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...PREVIEW, limits: { rooms_per_connection: 4 } });
  const [mine, other, asleep, foreign] = [
    await newProject(hub, "ann"),
    await newProject(hub, "ann"),
    await newProject(hub, "ann"),
    await newProject(hub, "eve"),
  ];
  const route = `/api/projects/${asleep.id}`;
  assert.equal((await rest(hub, "PATCH", route, { token: mint("ann"), body: { active: false } })).json.active, false);
  const ann = await connectClient(t, hub, { token: mint("ann") });
  const cases = [
    ["join-project", {}, "MISSING_PROJECT_ID"],
    ["leave-project", {}, "MISSING_PROJECT_ID"],
    ["join-project", { projectId: foreign.id }, "UNAUTHORIZED"],
    ["join-project", { projectId: "your-project-id" }, "PROJECT_NOT_FOUND"],
    ["join-project", { projectId: asleep.id }, "PROJECT_INACTIVE"],
    ["leave-project", { projectId: mine.id }, "LEAVE_FAILED"],
  ];
  const told = async (event, payload, code) => {
    ann.heard.length = 0;
    const ack = await ann.emitWithAck(event, payload);
    const error = await heard(ann, "error");
    assert.deepEqual(Object.keys(error).sort(), ["code", "message"]);
    assert.equal(error.code, code, JSON.stringify(payload));
    assert.deepEqual([ack.success, ack.code, ack.message], [false, code, error.message]);
  };
  for (const [event, payload, code] of cases) await told(event, payload, code);
  assert.equal((await ann.emitWithAck("join-project", { projectId: mine.id })).success, true);
  await told("join-project", { projectId: other.id }, "JOIN_FAILED"); // too many rooms for one connection
  assert.equal(ann.connected, true);
});

test("nobody sees what is not theirs", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const people = ["ann", "bob", "eve"];
  const projects = await Promise.all(people.map((owner) => newProject(hub, owner)));
  const sockets = await Promise.all(people.map((user) => connectClient(t, hub, { token: mint(user) })));
  for (const project of projects) {
    const session = await newSession(hub, project);
    for (const [at, user] of people.entries()) {
      const mine = user === project.owner;
      const answer = await sockets[at].emitWithAck("join-project", { projectId: project.id });
      assert.equal(answer.success, mine, `${user} joins the project of ${project.owner}`);
      const verbs = [
        ["GET", `/api/projects/${project.id}`],
        ["PATCH", `/api/projects/${project.id}`, { name: "Mine" }],
        ["GET", `/api/projects/${project.id}/viewers`],
        ["GET", `/api/projects/${project.id}/sessions`],
        ["GET", `/api/sessions/${session}`],
        ["GET", `/api/sessions/${session}/events`],
      ];
      for (const [method, route, body] of verbs) {
        const { status, json } = await rest(hub, method, route, { token: mint(user), body });
        assert.deepEqual([status, json.code], mine ? [200, undefined] : [403, "UNAUTHORIZED"], `${user} ${method} ${route}`);
        assert.equal((await rest(hub, method, route, { body })).status, 401, `nobody ${method} ${route}`);
      }
    }
    for (const stranger of projects.filter((one) => one !== project)) {
      for (const route of [`/api/projects/${project.id}/sessions`, `/api/sessions/${session}/submit`]) {
        const { status } = await track(hub, stranger, route, { externalUserId: "u" });
        assert.equal(status, 401, `the key of ${stranger.owner} on ${route}`);
      }
    }
    for (const socket of sockets) socket.heard.length = 0;
    await newSession(hub, project, "secret");
    await pause(150);
    const saw = people.filter((_, at) => count(sockets[at], "session-started") > 0);
    assert.deepEqual(saw, [project.owner]);
  }
});

test("first ten of a batch are shown", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const project = await newProject(hub, "ann");
  const ann = await viewer(t, hub, project);
  const session = await newSession(hub, project);
  for (let batch = 0; batch < 3; batch += 1) {
    const events = Array.from({ length: 40 }, (_, at) => ({ eventType: "mousemove", at: batch * 100 + at }));
    const answer = await track(hub, project, `/api/sessions/${session}/events`, { events });
    assert.deepEqual([answer.json.accepted, answer.json.broadcast], [40, 10]);
  }
  await heard(ann, "event-received", (data) => data.event.at === 209);
  await pause(150);
  const seen = ann.heard.filter((one) => one.event === "event-received").map((one) => one.args[0].event.at);
  assert.deepEqual(seen, [0, 100, 200].flatMap((first) => Array.from({ length: 10 }, (_, at) => first + at)));
});

test("filters choose events", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const project = await newProject(hub, "ann");
  const all = await viewer(t, hub, project);
  const some = await connectClient(t, hub, { token: mint("ann"), transports: ["polling"] });
  await some.emitWithAck("join-project", { projectId: project.id, filter: { eventTypes: ["paste"] } });
  const session = await newSession(hub, project);
  const events = ["keydown", "paste", "keydown"].map((eventType) => ({ eventType }));
  await track(hub, project, `/api/sessions/${session}/events`, { events });
  await until(() => count(all, "event-received") === 3, { what: "all events" });
  await heard(some, "event-received");
  await heard(some, "session-started");
  await pause(150);
  assert.equal(count(some, "event-received"), 1);
});

test("crashed tabs are no viewers", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const project = await newProject(hub, "ann");
  const watcher = await viewer(t, hub, project);
  const crowd = await Promise.all(Array.from({ length: 20 }, () => viewer(t, hub, project)));
  const tabs = (list) => list.viewers[0]?.connections ?? 0;
  const isNow = (number) => (list) => list.count === 1 && tabs(list) === number;
  await heard(watcher, "viewers-updated", isNow(21));
  for (const socket of crowd) socket.io.engine.transport.ws.terminate?.();
  await until(async () => tabs((await rest(hub, "GET", `/api/projects/${project.id}/viewers`, { token: mint("ann") })).json) === 1, {
    what: "the crashed ones to be gone",
  });
  await until(() => isNow(1)(watcher.heard.findLast((one) => one.event === "viewers-updated").args[0]), {
    what: "viewers to be told",
  });
});

test("lost clients find back", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, PREVIEW);
  const project = await newProject(hub, "ann");
  const ann = await viewer(t, hub, project, { reconnection: true, reconnectionDelay: 100 });
  const connected = new Promise((resolve) => ann.io.once("reconnect", resolve));
  ann.io.engine.transport.ws.terminate();
  await inTime(connected, 10_000, "the client to connect again");
  await heard(ann, "project-rejoined", (data) => data.projectId === project.id);
  const session = await newSession(hub, project);
  await heard(ann, "session-started", (data) => data.sessionId === session);
});

test("silent sessions end", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...PREVIEW, "plugins.live-preview.settings": { idle_after: "1s" } });
  const project = await newProject(hub, "ann");
  const ann = await viewer(t, hub, project);
  const session = await newSession(hub, project);
  const ended = await heard(ann, "session-ended", (data) => data.sessionId === session);
  assert.equal(ended.submitted, false);
  const begun = ann.heard.find((one) => one.event === "session-started").args[0];
  const took = Date.parse(ended.timestamp) - Date.parse(begun.timestamp);
  assert.ok(took >= 1_000 && took < 3_000, `it ended after ${took} ms`);
});

test("answered events survive a kill", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...PREVIEW, "plugins.live-preview.settings": { idle_after: "3s" } });
  const project = await newProject(hub, "ann");
  const sessions = await Promise.all(Array.from({ length: 8 }, (_, at) => newSession(hub, project, `user-${at}`)));
  const answered = new Map(sessions.map((session) => [session, 0]));
  const sendAll = async (session) => {
    for (let number = 0; !hub.program.ended; number += 1) {
      const body = { events: [{ eventType: "keydown", number }] };
      const answer = await track(hub, project, `/api/sessions/${session}/events`, body).catch(() => undefined);
      if (answer?.status === 201) answered.set(session, number + 1);
    }
  };
  const sending = sessions.map(sendAll);
  await pause(600);
  await hub.kill("SIGKILL");
  await Promise.all(sending);
  assert.ok([...answered.values()].every((number) => number > 0), "events were answered");
  await hub.start();
  for (const session of sessions) {
    const numbers = [];
    for (let after = ""; after !== null; ) {
      const route = `/api/sessions/${session}/events?limit=200&after=${after}`;
      const page = (await rest(hub, "GET", route, { token: mint("ann") })).json;
      numbers.push(...page.events.map((event) => event.number));
      after = page.next;
    }
    const kept = Array.from({ length: answered.get(session) }, (_, number) => number);
    assert.deepEqual(numbers.slice(0, kept.length), kept);
    assert.ok(numbers.length <= kept.length + 1, "at most the one whose answer never came");
  }
  const ann = await viewer(t, hub, project);
  for (const session of sessions) await heard(ann, "session-ended", (data) => data.sessionId === session, 10_000);
});

test("binary events arrive as bytes", { timeout: 60_000 }, async (t) => {
  const nats = await startNats(t);
  const hub = await startHub(t, { ...PREVIEW, nats: { url: nats.url } });
  const service = await openService(t, nats);
  const project = await newProject(hub, "ann");
  const viewers = [await viewer(t, hub, project), await viewer(t, hub, project, { transports: ["polling"] })];
  const session = await newSession(hub, project);
  const data = Buffer.from(Uint8Array.from({ length: 100_000 }, (_, at) => (at * 13) % 256));
  const posted = await fetch(`${hub.url}/api/sessions/${session}/binary-events`, {
    method: "POST",
    headers: { "x-api-key": project.key, "x-event": JSON.stringify({ eventType: "screenshot" }) },
    body: data,
  });
  assert.equal(posted.status, 201, await posted.text());
  const about = natsHeaders();
  about.set("Event-Meta", JSON.stringify({ sessionId: session, event: { eventType: "audio" } }));
  service.connection.publish(`exedra.in.live-preview.${project.id}.binary-event`, data, { headers: about });
  for (const socket of viewers) {
    for (const kind of ["screenshot", "audio"]) {
      const { event } = await heard(socket, "event-received", (one) => one.event.eventType === kind);
      assert.ok(Buffer.isBuffer(event.data) && event.data.equals(data), kind);
    }
  }
  const { json } = await rest(hub, "GET", `/api/sessions/${session}/events`, { token: mint("ann") });
  const kept = await fetch(`${hub.url}/api/sessions/${session}/data/${json.events[0].data.id}`, {
    headers: { authorization: `Bearer ${mint("ann")}` },
  });
  assert.ok(Buffer.from(await kept.arrayBuffer()).equals(data));
});

test("tracker on the bus is seen", { timeout: 60_000 }, async (t) => {
  const nats = await startNats(t);
  const hub = await startHub(t, { ...PREVIEW, nats: { url: nats.url } });
  const project = await newProject(hub, "ann");
  const ann = await viewer(t, hub, project);
  const folder = mkdtempSync(path.join(tmpdir(), "exedra-publisher-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(path.join(ROOT, "examples/publishers/node"), folder, { recursive: true });
  symlinkSync(path.join(ROOT, "core/server/tests/e2e/node_modules"), path.join(folder, "node_modules"));
  const env = { ...process.env, NATS_URL: nats.url };
  const ended = await run(process.execPath, [path.join(folder, "tracker.mjs"), project.id, "1"], { env });
  assert.equal(ended.code, 0, ended.stderr);
  const { sessionId } = await heard(ann, "session-started", (data) => data.externalUserId === "visitor-1");
  await heard(ann, "event-received", (data) => data.event.eventType === "keydown");
  await heard(ann, "event-received", (data) => data.event.eventType === "screenshot" && data.event.data.length === 4096);
  await heard(ann, "session-ended", (data) => data.sessionId === sessionId && data.submitted === true);
  const refused = await run(process.execPath, [path.join(folder, "tracker.mjs"), "no-such-project", "1"], { env });
  assert.match(refused.stderr, /PROJECT_NOT_FOUND/);
});

test("demo shows it in two tabs", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...DEMO, ...PREVIEW });
  const { open, complaints } = await openPages(t, hub);
  const ann = await open("/live-preview/?user=ann");
  const shows = (page, id, pattern) =>
    until(async () => pattern.test(await page.getByTestId(id).innerText()), {
      within: 10_000,
      what: () => `${id} to show ${pattern}`,
    });
  await ann.getByTestId("create").click();
  await shows(ann, "count", /^1$/);
  const address = await ann.getByTestId("form").getAttribute("href");
  const form = await open(address);
  await shows(form, "message", /session has begun/);
  await form.getByTestId("opinion").pressSequentially("good");
  await shows(ann, "sessions", /visitor-1/);
  await shows(ann, "log", /keydown/);
  await form.getByTestId("submit").click();
  await shows(form, "message", /Thank you/);
  await shows(ann, "sessions", /was submitted/);
  await shows(ann, "session-count", /0 going on, 1 over/);
  assert.deepEqual(complaints, []);
});
