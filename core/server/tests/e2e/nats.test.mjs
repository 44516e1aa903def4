// The hub beside a real nats-server: events in, events out, requests, dead letters, and a bus that dies and returns.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, heard, newMeeting, participants, rest } from "./harness/client.mjs";
import { MEETINGS, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, pause, until } from "./harness/wait.mjs";

const BACK = 5_000;
const creator = mint("dora");

/** Hub, nats-server, an outside service that hears everything, and Ann and Bob in a meeting. */
async function scene(t) {
  const nats = await startNats(t);
  const hub = await startHub(t, { ...MEETINGS, nats: { url: nats.url } });
  const service = await openService(t, nats, ["exedra.out.>", "exedra.dlq.>"]);
  const meeting = await newMeeting(hub, creator, ["ann", "bob"]);
  const ann = await connectClient(t, hub, { token: mint("ann") });
  const bob = await connectClient(t, hub, { token: mint("bob"), transports: ["polling"] });
  for (const socket of [ann, bob]) {
    assert.equal((await socket.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  }
  return { nats, hub, service, meeting, ann, bob, both: [ann, bob] };
}

const phaseOf = (service, meeting, phase) =>
  service.publish(`exedra.in.meetings.${meeting}.phase`, { phase, status: "active" });

test("published phase reaches clients", { timeout: 60_000 }, async (t) => {
  const { service, meeting, both } = await scene(t);
  phaseOf(service, meeting, "evaluation");
  for (const socket of both) {
    const changed = await heard(socket, "phaseChanged", (data) => data.phase === "evaluation");
    assert.deepEqual(changed, { meetingId: meeting, phase: "evaluation", status: "active" });
  }
  await pause(200);
  const times = both.map((socket) => socket.heard.filter((one) => one.event === "phaseChanged").length);
  assert.deepEqual(times, [1, 1], "each client hears it exactly once");
});

test("many phases arrive in order", { timeout: 60_000 }, async (t) => {
  const { service, meeting, ann } = await scene(t);
  const phases = Array.from({ length: 200 }, (_, number) => `phase-${number}`);
  for (const phase of phases) phaseOf(service, meeting, phase);
  await heard(ann, "phaseChanged", (data) => data.phase === phases.at(-1), 10_000);
  const got = ann.heard.filter((one) => one.event === "phaseChanged").map((one) => one.args[0].phase);
  assert.deepEqual(got, phases);
});

test("bad payload becomes dead letter", { timeout: 60_000 }, async (t) => {
  const { hub, service, meeting, ann, both } = await scene(t);
  const bad = ["not json", '{"phase":7}', "[]", "{}", '{"phase":"x","status":"active"'];
  for (const payload of bad) service.publish(`exedra.in.meetings.${meeting}.phase`, payload);
  for (const payload of bad) {
    const letter = await service.message("exedra.dlq.meetings", (one) => one.text === payload);
    assert.ok(letter.reason?.length > 0, "the letter says why");
  }
  service.publish(`exedra.in.meetings.${meeting}.no-such-event`, {});
  await service.message("exedra.dlq.meetings", (one) => one.text === "{}" && one.reason !== undefined);
  await until(() => service.heard.filter((one) => one.subject === "exedra.dlq.meetings").length === bad.length + 1, {
    what: "one letter for each bad message",
  });
  assert.equal(await hub.total("exedra_dead_letters_total"), bad.length + 1);
  assert.equal(ann.heard.filter((one) => one.event === "phaseChanged").length, 0, "nothing changed");
  phaseOf(service, meeting, "after");
  for (const socket of both) await heard(socket, "phaseChanged", (data) => data.phase === "after");
});

test("request form answers either way", { timeout: 60_000 }, async (t) => {
  const { service, meeting, ann } = await scene(t);
  const subject = `exedra.in.meetings.${meeting}.phase`;
  const good = await service.request(subject, { phase: "voting", status: "active" });
  assert.equal(good.ok, true, JSON.stringify(good));
  await heard(ann, "phaseChanged", (data) => data.phase === "voting");
  for (const payload of ["not json", { phase: 7 }]) {
    const refused = await service.request(subject, payload);
    assert.equal(typeof refused.error?.code, "string", JSON.stringify(refused));
    assert.equal(typeof refused.error.message, "string");
  }
  const nowhere = await service.request("exedra.in.meetings.no-such-meeting.phase", { phase: "x", status: "active" });
  assert.equal(typeof nowhere.error?.code, "string", JSON.stringify(nowhere));
});

test("services hear what happened", { timeout: 60_000 }, async (t) => {
  const { hub, service, meeting, bob } = await scene(t);
  const out = (event) => `exedra.out.meetings.${meeting}.${event}`;
  for (const user of ["ann", "bob"]) {
    await service.message(out("joined"), (one) => JSON.parse(one.text).userId === user);
  }
  const evaluations = [{ targetParticipantId: "bob", emotionalScale: 73.5, isToxic: false }];
  const route = `/meetings/${meeting}/emotional-evaluations`;
  const voted = await rest(hub, "POST", route, { token: mint("ann"), body: { evaluations } });
  assert.ok(voted.status < 300, voted.text);
  const event = await service.message(out("voted"), (one) => JSON.parse(one.text).userId === "ann");
  assert.ok(!event.text.includes("73.5"), "a vote's score stays inside");
  await heard(bob, "voting_progress");
  bob.disconnect();
  await service.message(out("left"), (one) => JSON.parse(one.text).userId === "bob");
  await pause(100);
  const count = (name) => service.heard.filter((one) => one.subject === out(name)).length;
  assert.deepEqual([count("joined"), count("voted"), count("left")], [2, 1, 1]);
});

test("meetings managed over requests", { timeout: 60_000 }, async (t) => {
  const { service, meeting } = await scene(t);
  const found = await service.request("exedra.rpc.meetings.get", { meetingId: meeting });
  const record = found.ok ?? found;
  assert.equal(record.meetingId ?? record.id, meeting, JSON.stringify(found));
  assert.deepEqual(record.participantIds, ["ann", "bob"]);
  const missing = await service.request("exedra.rpc.meetings.get", { meetingId: "no-such-meeting" });
  assert.equal(missing.error?.code, "NOT_FOUND", JSON.stringify(missing));
});

test("bus death disconnects nobody", { timeout: 120_000 }, async (t) => {
  const { nats, hub, service, meeting, ann, bob, both } = await scene(t);
  await nats.kill();
  await until(async () => (await hub.total("exedra_bus_up")) === 0, { within: 10_000, what: "the loss to be seen" });
  assert.equal((await fetch(`${hub.admin}/livez`)).status, 200, "alive without a bus");
  assert.equal((await fetch(`${hub.admin}/readyz`)).status, 503, "and says that it is not ready");

  // What needs no bus goes on: presence, REST and votes.
  const cyd = await connectClient(t, hub, { token: mint("ann") });
  const asked = await cyd.emitWithAck("get_participants", { meetingId: meeting });
  assert.equal(asked.totalParticipants, 2);
  await bob.emitWithAck("leave_meeting", { meetingId: meeting });
  await until(() => String(participants(ann)) === "ann", { what: "local delivery" });
  const evaluations = [{ targetParticipantId: "bob", emotionalScale: 50, isToxic: false }];
  const route = `/meetings/${meeting}/emotional-evaluations`;
  const vote = rest(hub, "POST", route, { token: mint("ann"), body: { evaluations } });
  assert.ok((await inTime(vote, 2_000, "a vote without a bus")).status < 300);
  assert.equal((await bob.emitWithAck("join_meeting", { meetingId: meeting })).success, true);

  await nats.start();
  const back = performance.now();
  const flows = async () => {
    phaseOf(service, meeting, "back");
    await pause(50);
    return both.every((socket) => socket.heard.some((one) => one.args[0]?.phase === "back"));
  };
  await until(flows, { within: BACK, what: "events to flow again" });
  const took = performance.now() - back;
  assert.ok(took <= BACK, `flowed again after ${took} ms`);
  assert.deepEqual([ann.connected, bob.connected, cyd.connected], [true, true, true]);
  assert.deepEqual([ann.drops, bob.drops, cyd.drops], [[], [], []], "no client was disconnected");
  await until(async () => (await fetch(`${hub.admin}/readyz`)).ok, { what: "readiness" });
  t.diagnostic(`events flowed again ${took.toFixed(0)} ms after nats-server was back`);
});

test("hub starts before its bus", { timeout: 60_000 }, async (t) => {
  const nats = await startNats(t);
  await nats.kill();
  const hub = await startHub(t, { ...MEETINGS, nats: { url: nats.url } }, "livez");
  assert.equal((await fetch(`${hub.admin}/readyz`)).status, 503, "not ready without the bus it was given");
  const meeting = await newMeeting(hub, creator, ["ann"]);
  const ann = await connectClient(t, hub, { token: mint("ann") });
  assert.equal((await ann.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  await nats.start();
  const service = await openService(t, nats);
  await until(
    async () => {
      phaseOf(service, meeting, "late");
      await pause(50);
      return ann.heard.some((one) => one.args[0]?.phase === "late");
    },
    { within: BACK, what: "events from a bus that came late" },
  );
  assert.deepEqual(ann.drops, []);
});
