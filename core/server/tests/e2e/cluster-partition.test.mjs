// Networks that lose everything without a word, and a NATS that is not there when the hubs start: rooms go on among those who are
// at one node, what must be durable is refused in time and can be tried again, readiness says why, and all heals by itself.
// Needs: Nats, Network.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, newMeeting, participants, rest } from "./harness/client.mjs";
import { BENCH, member, others, say, SHARED, startCluster } from "./harness/cluster.mjs";
import { MEETINGS, startHub } from "./harness/hub.mjs";
import { NatsServer } from "./harness/nats.mjs";
import { startNatsApart } from "./harness/netns.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, pause, until } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const TIMES = SOAK ? 20 : 1;
const CUT = 12_000;
/** Within it a durable operation is refused, and a node is well again. */
const [REFUSED, HEALED] = [2_500, 10_000];
const LEASE = 5_000;
const USERS = ["ann", "bob"];
const RECOVERY = { "socketio.recovery": { window: "2m" } };
const creator = mint("dora");

function story(name, timeout, tell) {
  for (let turn = 1; turn <= TIMES; turn += 1) test(TIMES > 1 ? `${name}, ${turn}` : name, { timeout }, tell);
}

const readiness = async (hub) => (await fetch(`${hub.admin}/readyz`)).json();
const parts = async (hub) => (await readiness(hub)).reasons.map((reason) => reason.part);

/** One vote under a key of its own; the answer comes in time, whatever it is. */
function vote(hub, meeting, voter, score) {
  const target = USERS.find((user) => user !== voter);
  const body = { evaluations: [{ targetParticipantId: target, emotionalScale: score, isToxic: false }] };
  const route = `/meetings/${meeting}/emotional-evaluations`;
  const asked = { token: mint(voter), body, headers: { "idempotency-key": `${voter}-${score}` } };
  return inTime(rest(hub, "POST", route, asked), REFUSED, "an answer to a vote");
}

function refusedForNow(answer) {
  assert.equal(answer.status, 503, answer.text);
  assert.match(answer.type, /^application\/problem\+json/);
}

async function scores(hub, meeting) {
  const { json } = await rest(hub, "GET", `/meetings/${meeting}/results`, { token: creator });
  const all = json.phases.flatMap((phase) => phase.participants).filter((one) => one.emotionalCount > 0);
  return Object.fromEntries(all.map((one) => [USERS.find((user) => user !== one.participantId), one.emotionalMean]));
}

const sees = (socket, users, within) =>
  until(() => participants(socket)?.join() === users.join(), { within, what: () => `to see ${users}: ${participants(socket)}` });

/** Ann is at a node whose wire loses what `how` says; Bob is at another one. */
async function partition(t, how) {
  const [wire, other] = await startNatsApart(t, 2);
  const url = (at) => (at === 1 ? wire : other).url;
  const { hubs } = await startCluster(t, { ...MEETINGS, ...BENCH, ...SHARED, ...RECOVERY }, { nats: {}, url });
  const [cut, well] = hubs;
  const meeting = await newMeeting(well, creator, USERS);
  const [ann, bob] = [await connectClient(t, cut, { token: mint("ann") }), await connectClient(t, well, { token: mint("bob") })];
  for (const socket of [ann, bob]) assert.equal((await socket.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  for (const socket of [ann, bob]) await sees(socket, USERS, 5_000);
  const [here, near, far] = [await member(t, cut, mint("h"), "r"), await member(t, cut, mint("n"), "r"), await member(t, well, mint("f"), "r")];
  const said = [];
  const talk = async (text) => {
    await say(here, "r", text);
    said.push(text);
  };
  await talk("before");

  await wire.lose(how);
  const begin = performance.now();
  const since = () => performance.now() - begin;
  refusedForNow(await vote(cut, meeting, "ann", 10));
  assert.equal((await vote(well, meeting, "bob", 20)).status, 201, "the others do not notice");
  await talk("meanwhile");
  await until(() => near.said.length === 2, { within: 1_000, what: "the room to go on at this node" });
  await sees(bob, ["bob"], LEASE + 1_000);
  t.diagnostic(`its members were out after ${since().toFixed(0)} ms`);
  const why = await until(async () => ((reasons) => reasons.includes("cluster") && reasons)(await parts(cut)), {
    within: CUT - since(),
    what: "readiness to say why",
  });
  t.diagnostic(`not ready after ${since().toFixed(0)} ms: ${why}`);
  assert.deepEqual(await parts(well), [], "the others are ready");
  refusedForNow(await vote(cut, meeting, "ann", 10));
  await talk("in the dark");
  await pause(Math.max(0, CUT - since()));
  assert.deepEqual([ann, bob, here, near, far].flatMap((socket) => socket.drops), [], "nobody is disconnected");

  await wire.heal();
  const healing = performance.now();
  await until(async () => (await parts(cut)).length === 0, { within: HEALED, what: async () => `readiness: ${await parts(cut)}` });
  for (const socket of [ann, bob]) await sees(socket, USERS, HEALED - (performance.now() - healing));
  assert.deepEqual(await Promise.all(hubs.map(others)), [2, 2, 2]);
  await until(() => far.said.length === said.length, { within: HEALED, what: () => `what was said meanwhile: ${far.said}` });
  t.diagnostic(`healed ${(performance.now() - healing).toFixed(0)} ms after the end`);
  assert.deepEqual([near.said, far.said], [said, said], "once and in order");
  assert.equal((await vote(cut, meeting, "ann", 10)).status, 201, "with the same key");
  assert.deepEqual(await scores(well, meeting), { ann: 10, bob: 20 });
  assert.deepEqual([ann, bob, here, near, far].flatMap((socket) => socket.drops), []);
}

story("a node's wire loses everything", 120_000, (t) => partition(t, { both: true }));
story("a node is heard no more, and hears", 120_000, (t) => partition(t, { both: false }));

story("NATS is missing at the start", 120_000, async (t) => {
  const nats = new NatsServer();
  t.after(() => nats.stop());
  await nats.start();
  const cluster = { enabled: true, node: "n1" };
  const tracker = { "plugins.live-preview": { enabled: true }, "plugins.live-preview.settings": { idle_after: "3s" } };
  const sections = { ...MEETINGS, ...BENCH, ...SHARED, ...tracker, nats: { url: nats.url }, cluster };
  const early = await startHub(t, sections);
  const session = await track(early);
  await Promise.all([early.kill(), nats.kill()]); // the session is open, and nobody there to end it

  const hub = await startHub(t, sections, "livez");
  const reasons = await parts(hub);
  assert.deepEqual(["bus", "cluster", "store"].filter((part) => !reasons.includes(part)), [], "readiness says what is missing");
  const [here, near] = [await member(t, hub, mint("h"), "r"), await member(t, hub, mint("n"), "r")];
  await say(here, "r", "alone");
  await until(() => near.said.length === 1, { within: 1_000, what: "the room to be there" });
  const body = { title: "Weekly", participantIds: USERS };
  refusedForNow(await inTime(rest(hub, "POST", "/meetings", { token: creator, body }), REFUSED, "a refusal"));

  await nats.start();
  await until(async () => (await parts(hub)).length === 0, { within: HEALED, what: "all to be there" });
  const meeting = await newMeeting(hub, creator, USERS);
  assert.equal((await vote(hub, meeting, "ann", 10)).status, 201);
  assert.deepEqual([here, near].flatMap((socket) => socket.drops), []);
  await until(async () => (await ended(hub, session)) !== null, { within: 15_000, what: "the session of before to end by itself" });
});

/** Begins a session of a tracked page. */
async function track(hub) {
  const project = (await rest(hub, "POST", "/api/projects", { token: mint("ann"), body: { name: "Form" } })).json;
  const route = `/api/projects/${project.projectId}/sessions`;
  const made = await rest(hub, "POST", route, { body: { externalUserId: "u" }, headers: { "x-api-key": project.apiKey } });
  assert.ok(made.status < 300, made.text);
  return made.json.sessionId;
}

async function ended(hub, session) {
  const { status, json, text } = await rest(hub, "GET", `/api/sessions/${session}`, { token: mint("ann") });
  assert.equal(status, 200, text);
  return json.endedAt ?? null;
}

test("an old nats-server is refused by name", { timeout: 60_000 }, async (t) => {
  const { openOldServer } = await import("./harness/old-nats.mjs");
  const nats = await openOldServer(t, "2.9.25");
  const cluster = { enabled: true, node: "n1" };
  const hub = await startHub(t, { ...BENCH, ...SHARED, nats: { url: nats.url }, cluster }, "livez");
  const why = await until(async () => (await readiness(hub)).reasons.find((one) => one.part === "cluster" && /too old/.test(one.why)), {
    within: 10_000,
    what: "the refusal",
  });
  assert.match(why.why, /nats-server 2\.9\.25 is too old: a cluster needs 2\.10 or newer/);
});
