// Three hubs and three NATS servers as examples/deploy has them: three copies of everything, a user with the least rights, and
// nothing is lost or disturbed when the server goes that leads the ledger, or a hub.
// Needs: Nats, Nginx.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, newMeeting, participants, rest } from "./harness/client.mjs";
import { others } from "./harness/cluster.mjs";
import { openService } from "./harness/nats.mjs";
import { startNginx } from "./harness/nginx.mjs";
import { mint } from "./harness/tokens.mjs";
import { PASSWORDS, startTrio, streams, trioHub } from "./harness/trio.mjs";
import { inTime, until } from "./harness/wait.mjs";

const USERS = ["ann", "bob", "cyd"];
const OURS = ["KV_exedra_store", "exedra_dlq", "exedra_events", "exedra_in_meetings", "exedra_ledger", "exedra_sessions"];
const QUICK = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
const creator = mint("dora");

const readiness = async (hub) => (await fetch(`${hub.admin}/readyz`)).json();

async function startAll(t) {
  const servers = await startTrio(t);
  const hubs = USERS.map((_, at) => trioHub(t, servers, `hub-${at + 1}`));
  await Promise.all(hubs.map((hub) => hub.start()));
  await until(async () => (await Promise.all(hubs.map(others))).every((count) => count === 2), {
    within: 20_000,
    what: "the hubs to know each other",
  });
  return { servers, hubs };
}

/** A vote, again with the same key as long as the answer is: not now. Gives the number of refusals. */
async function vote(hub, meeting, voter, score) {
  const target = USERS[(USERS.indexOf(voter) + 1) % USERS.length];
  const body = { evaluations: [{ targetParticipantId: target, emotionalScale: score, isToxic: false }] };
  const asked = { token: mint(voter), body, headers: { "idempotency-key": `${voter}-${score}` } };
  const deadline = performance.now() + 20_000;
  for (let refusals = 0; ; refusals += 1) {
    const answer = await inTime(rest(hub, "POST", `/meetings/${meeting}/emotional-evaluations`, asked), 3_000, "an answer");
    if (answer.status === 201) return refusals;
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.type, /^application\/problem\+json/);
    assert.ok(performance.now() < deadline, "the vote is taken in time");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The hub that a user is connected to. */
async function homeOf(hubs, user) {
  for (const hub of hubs) {
    const { rows } = await (await fetch(`${hub.admin}/api/connections`)).json();
    if (rows.some((row) => row.user === user)) return hub;
  }
  throw new Error(`${user} is nowhere`);
}

/** Waits until three copies of each stream are current. */
async function complete(servers) {
  let now = {};
  const behind = () => OURS.filter((name) => now[name]?.current !== 3);
  await until(async () => (now = await streams(servers)) && behind().length === 0, {
    within: 60_000,
    what: () => `three copies of everything: ${JSON.stringify(now)}`,
  });
}

const sees = (sockets, users, within = 10_000) =>
  until(() => sockets.every((socket) => participants(socket)?.join() === users.join()), {
    within,
    what: () => `everybody to see ${users}: ${sockets.map((one) => participants(one))}`,
  });

test("a server is lost, then a hub", { timeout: 240_000 }, async (t) => {
  const { servers, hubs } = await startAll(t);
  for (const hub of hubs) assert.deepEqual(await readiness(hub), { ready: true, reasons: [], warnings: [], needs_restart: [], failed: [] });
  await complete(servers);
  const before = await streams(servers);

  const balancer = await startNginx(t, hubs);
  const meeting = await newMeeting(hubs[0], creator, USERS);
  const sockets = [];
  for (const user of USERS) {
    const socket = await connectClient(t, balancer, { token: mint(user), ...QUICK });
    assert.equal((await socket.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
    sockets.push(socket);
  }
  await sees(sockets, USERS);
  assert.equal(await vote(hubs[0], meeting, "ann", 10), 0);

  const leader = servers.find((server) => server.name === before.exedra_ledger.leader);
  await leader.kill();
  const begin = performance.now();
  const refusals = await vote(hubs[1], meeting, "bob", 20);
  t.diagnostic(`a vote is taken after ${(performance.now() - begin).toFixed(0)} ms and ${refusals} refusals`);
  const allReady = async () => (await Promise.all(hubs.map(readiness))).every((one) => one.reasons.length === 0);
  await until(allReady, { within: 20_000, what: "all hubs to be ready again" });
  sockets[2].emit("leave_meeting", { meetingId: meeting });
  await sees(sockets.slice(0, 2), ["ann", "bob"]);
  assert.equal((await sockets[2].emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  await sees(sockets, USERS);
  assert.deepEqual(sockets.flatMap((socket) => socket.drops), [], "no client has noticed");

  await leader.start();
  await complete(servers);

  const [first] = sockets;
  const { id } = first;
  const home = await homeOf(hubs, "ann");
  const [one, other] = hubs.filter((hub) => hub !== home);
  await home.kill();
  await until(() => first.drops.length > 0 && first.connected, { within: 15_000, what: "ann to be back" });
  assert.deepEqual([first.recovered, first.id], [true, id], "as the same socket");
  await sees(sockets, USERS);
  assert.equal(await vote(one, meeting, "cyd", 30), 0);
  const { json } = await rest(other, "GET", `/meetings/${meeting}/results`, { token: creator });
  const means = json.phases.flatMap((phase) => phase.participants).filter((one) => one.emotionalCount > 0);
  const score = Object.fromEntries(means.map((one) => [one.participantId, one.emotionalMean]));
  assert.deepEqual(score, { bob: 10, cyd: 20, ann: 30 }, "each acknowledged vote, once");
});

test("a polling session stays, WebSockets are spread", { timeout: 120_000 }, async (t) => {
  const { hubs } = await startAll(t);
  const balancer = await startNginx(t, hubs);
  const meeting = await newMeeting(balancer, creator, USERS);
  for (const transports of [["polling"], ["polling", "websocket"]]) {
    const socket = await connectClient(t, balancer, { token: mint("ann"), transports });
    for (let n = 0; n < 5; n += 1) {
      assert.equal((await socket.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
    }
    if (transports.length > 1) await until(() => socket.io.engine.transport.name === "websocket", { what: "the upgrade" });
    socket.disconnect();
  }
  await until(() => balancer.upstreams().length >= 10, { what: () => `requests: ${balancer.upstreams()}` });
  assert.equal(new Set(balancer.upstreams()).size, 1, "what is no WebSocket from its beginning stays at one hub");
  const before = balancer.upstreams().length;
  for (let n = 0; n < 30; n += 1) (await connectClient(t, balancer, { token: mint("ann") })).disconnect();
  await until(() => balancer.upstreams().length >= before + 30, { what: "the log of all links" });
  assert.equal(new Set(balancer.upstreams().slice(before)).size, 3, "WebSockets go everywhere");
});

test("rights are enough, and no more", { timeout: 120_000 }, async (t) => {
  const { servers, hubs } = await startAll(t);
  await complete(servers);
  const complaints = hubs.flatMap((hub) => hub.program.lines.filter((line) => /permission/i.test(line)));
  assert.deepEqual(complaints, []);
  const as = (user) => ({ user, pass: PASSWORDS[`${user.toUpperCase()}_PASSWORD`] });
  const service = await openService(t, servers[1], ["exedra.out.>", "exedra.dlq.>"], as("service"));
  const meeting = await newMeeting(hubs[0], creator, USERS);
  const subject = `exedra.in.meetings.${meeting}.phase`;
  const taken = async () => (await service.request(subject, { phase: "voting", status: "active" }).catch(() => ({}))).ok;
  await until(taken, { within: 20_000, what: "an injected event to be taken" });
  service.publish(subject, "not json");
  await service.message("exedra.dlq.meetings");

  const denied = async (connection, act) => {
    const heard = (async () => {
      for await (const status of connection.status()) if (status.permissionContext) return status.permissionContext.operation;
    })();
    act(connection);
    await connection.flush();
    return inTime(heard, 5_000, "a refusal");
  };
  for (const forbidden of ["exedra.cluster.ledger", "$KV.exedra_store.meetings.x", "$JS.API.DIRECT.GET.exedra_sessions", "$JS.API.STREAM.DELETE.exedra_ledger"]) {
    assert.equal(await denied(service.connection, (connection) => connection.publish(forbidden, "x")), "publish", forbidden);
  }
  for (const forbidden of ["exedra.cluster.>", "_INBOX_exedra.>", "exedra.in.>"]) {
    const hear = (connection) => connection.subscribe(forbidden, { callback: () => {} }).closed.catch(() => {});
    assert.equal(await denied(service.connection, hear), "subscription", forbidden);
  }
  const hub = await openService(t, servers[2], [], { ...as("hub"), inboxPrefix: "_INBOX_exedra" });
  for (const forbidden of ["$JS.API.META.LEADER.STEPDOWN", "$JS.API.ACCOUNT.PURGE.x", "$SYS.REQ.SERVER.PING", "other"]) {
    assert.equal(await denied(hub.connection, (connection) => connection.publish(forbidden, "x")), "publish", forbidden);
  }
});
