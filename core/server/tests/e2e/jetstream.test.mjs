// The store in JetStream: votes that survive the hub and the server, and a server that is away, frozen, lax or strict.
// Needs: Nats.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { newMeeting, rest } from "./harness/client.mjs";
import { Hub, MEETINGS, ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, until } from "./harness/wait.mjs";

const creator = mint("dora");
const VOTERS = ["ann", "bob", "cyd"];
const nextOf = (voter) => VOTERS[(VOTERS.indexOf(voter) + 1) % VOTERS.length];
const STRICT = { conf: "max_payload: 2MB\njetstream { sync_interval: always }\n" };

const inJetStream = (nats, more = {}) => ({
  ...MEETINGS,
  store: { kind: "jetstream", path: undefined },
  nats: { url: nats.url, monitor: nats.monitor, ...more },
});

async function scene(t) {
  const nats = await startNats(t, STRICT);
  const hub = await startHub(t, inJetStream(nats));
  const meeting = await newMeeting(hub, creator, VOTERS);
  return { nats, hub, meeting };
}

function vote(hub, meeting, voter, score, key) {
  const evaluations = [{ targetParticipantId: nextOf(voter), emotionalScale: score, isToxic: false }];
  const headers = key ? { "idempotency-key": key } : undefined;
  const route = `/meetings/${meeting}/emotional-evaluations`;
  return rest(hub, "POST", route, { token: mint(voter), body: { evaluations }, headers });
}

/** Scores by voter. */
async function votes(hub, meeting) {
  const answer = await rest(hub, "GET", `/meetings/${meeting}/results`, { token: creator });
  assert.equal(answer.status, 200, answer.text);
  const persons = answer.json.phases.flatMap((phase) => phase.participants).filter((one) => one.emotionalCount > 0);
  return Object.fromEntries(
    persons.map((one) => [VOTERS.find((voter) => nextOf(voter) === one.participantId), one.emotionalMean]),
  );
}

const readiness = async (hub) => {
  const answer = await fetch(`${hub.admin}/readyz`);
  return { status: answer.status, ...(await answer.json()) };
};

/** That an answer says: not now, try again. */
function refusedForNow(answer) {
  assert.equal(answer.status, 503, answer.text);
  assert.match(answer.type, /^application\/problem\+json/);
}

test("answered votes survive hub and NATS", { timeout: 120_000 }, async (t) => {
  const { nats, hub, meeting } = await scene(t);
  assert.deepEqual(await readiness(hub), { status: 200, ready: true, reasons: [], warnings: [], needs_restart: [], failed: [] });
  const first = await vote(hub, meeting, "ann", 12.5);
  const second = await vote(hub, meeting, "bob", 25, "k-1");
  assert.deepEqual([first.status, second.status], [201, 201], first.text + second.text);
  await Promise.all([hub.kill("SIGKILL"), nats.kill()]);
  await nats.start();
  await hub.start();
  assert.deepEqual(await votes(hub, meeting), { ann: 12.5, bob: 25 });
  const again = await vote(hub, meeting, "bob", 25, "k-1");
  assert.deepEqual([again.status, again.json], [second.status, second.json], "a retry is answered as the first time");
});

test("votes under kills of NATS", { timeout: 180_000 }, async (t) => {
  const { nats, hub } = await scene(t);
  const meetings = await Promise.all(Array.from({ length: 100 }, () => newMeeting(hub, creator, VOTERS)));
  const work = meetings.flatMap((meeting) => VOTERS.map((voter) => ({ meeting, voter, score: Math.random() * 100 })));
  const all = [...work];
  const statuses = new Map();
  let pending = work.length;
  const caller = async () => {
    for (let next = work.pop(); next; next = work.pop()) {
      // In doubt the same key is sent again, as clients should.
      for (;;) {
        const answer = await inTime(vote(hub, next.meeting, next.voter, next.score, "k"), 10_000, "an answer");
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        if (answer.status < 300) break;
        refusedForNow(answer);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      pending -= 1;
    }
  };
  const callers = Array.from({ length: 16 }, caller);
  let kills = 0;
  while (pending > 0) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    if (pending === 0 || kills === 5) break;
    await nats.kill();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await nats.start();
    kills += 1;
    await until(async () => (await readiness(hub)).ready, { within: 10_000, what: "the store to heal" });
  }
  await Promise.all(callers);
  for (const meeting of meetings) {
    const expected = Object.fromEntries(all.filter((one) => one.meeting === meeting).map((one) => [one.voter, one.score]));
    const read = await votes(hub, meeting);
    for (const voter of VOTERS) assert.ok(Math.abs(read[voter] - expected[voter]) < 0.01, `${meeting} ${voter}`);
  }
  assert.ok(kills >= 2, `${kills} kills`);
  t.diagnostic(`${all.length} votes, ${kills} kills, answers ${JSON.stringify([...statuses])}`);
});

test("no false answer without NATS", { timeout: 120_000 }, async (t) => {
  const { nats, hub, meeting } = await scene(t);
  assert.equal((await vote(hub, meeting, "ann", 10)).status, 201);
  await nats.kill();
  refusedForNow(await inTime(vote(hub, meeting, "bob", 20), 2_500, "a refusal"));
  const away = await until(async () => ((one) => one.status === 503 && one)(await readiness(hub)), { what: "readiness" });
  assert.ok(away.reasons.some((reason) => reason.part === "store" && /not connected/.test(reason.why)));
  await nats.start();
  await until(async () => (await readiness(hub)).ready, { within: 10_000, what: "the store to heal" });
  assert.equal((await vote(hub, meeting, "bob", 20)).status, 201);

  nats.program.child.kill("SIGSTOP");
  refusedForNow(await inTime(vote(hub, meeting, "cyd", 30), 2_500, "a refusal in time"));
  nats.program.child.kill("SIGCONT");
  await until(async () => (await readiness(hub)).ready, { within: 20_000, what: "the store to heal" });
  const last = await until(async () => ((one) => one.status < 300 && one)(await vote(hub, meeting, "cyd", 30)), {
    what: "a vote",
  });
  assert.ok(last);
  assert.deepEqual(await votes(hub, meeting), { ann: 10, bob: 20, cyd: 30 });
});

test("hub starts before its store", { timeout: 60_000 }, async (t) => {
  const nats = await startNats(t, STRICT);
  await nats.kill();
  const hub = await startHub(t, inJetStream(nats), "livez");
  const early = await rest(hub, "POST", "/meetings", { token: creator, body: { title: "early", participantIds: VOTERS } });
  refusedForNow(early);
  await nats.start();
  await until(async () => (await readiness(hub)).ready, { within: 10_000, what: "readiness" });
  const meeting = await newMeeting(hub, creator, VOTERS);
  assert.equal((await vote(hub, meeting, "ann", 1)).status, 201);
});

test("lax server said and refused", { timeout: 60_000 }, async (t) => {
  const nats = await startNats(t);
  const demanding = await startHub(t, inJetStream(nats), "livez");
  const refused = await until(
    async () => ((one) => one.reasons.some((reason) => /sync_interval/.test(reason.why)) && one)(await readiness(demanding)),
    { what: "the reason" },
  );
  assert.equal(refused.status, 503);
  const content = await startHub(t, { ...inJetStream(nats), store: { kind: "jetstream", durability: "any" } });
  assert.deepEqual((await readiness(content)).reasons, []);
  const blind = await startHub(t, inJetStream(nats, { monitor: undefined }));
  const { ready, warnings } = await readiness(blind);
  assert.ok(ready && warnings.some((warning) => /nats.monitor is not set/.test(warning.why)), JSON.stringify(warnings));
  const health = await (await fetch(`${blind.admin}/api/health`)).json();
  assert.match(health.store.where, /nats:/);
});

test("shipped users have least rights", { timeout: 60_000 }, async (t) => {
  const shipped = (name) => readFileSync(path.join(ROOT, "config", name), "utf8");
  const conf = `${shipped("nats.conf").replace(/^(listen|http|.*store_dir):.*$/gm, "")}\n${shipped("nats-users.conf")}`;
  const env = { HUB_PASSWORD: "hub-1e5", PUBLISHER_PASSWORD: "publisher-1", CONSUMER_PASSWORD: "consumer-1" };
  const nats = await startNats(t, { conf, env });
  const as = (user) => ({ user, pass: env[`${user.toUpperCase()}_PASSWORD`] });
  const hub = new Hub();
  t.after(() => hub.stop());
  const file = path.join(hub.dir, "password");
  writeFileSync(file, env.HUB_PASSWORD, { mode: 0o600 });
  hub.configure(inJetStream(nats, { user: "hub", password_file: file }));
  await hub.start();
  assert.deepEqual((await readiness(hub)).warnings, []);

  const publisher = await openService(t, nats, [], as("publisher"));
  const consumer = await openService(t, nats, ["exedra.out.>", "exedra.dlq.>"], as("consumer"));
  const meeting = await newMeeting(hub, creator, VOTERS);
  assert.equal((await vote(hub, meeting, "ann", 1)).status, 201);
  await consumer.message(`exedra.out.meetings.${meeting}.voted`);
  const subject = `exedra.in.meetings.${meeting}.phase`;
  assert.equal((await publisher.request(subject, { phase: "voting", status: "active" })).ok, true);
  publisher.publish(subject, "not json");
  await consumer.message("exedra.dlq.meetings");

  // Nobody but the hub reaches the store, or hears what it is answered.
  const denied = async (service, act) => {
    const heard = (async () => {
      for await (const status of service.connection.status()) if (status.permissionContext) return status.permissionContext;
    })();
    act(service.connection);
    await service.connection.flush();
    return inTime(heard, 5_000, "a refusal");
  };
  for (const [user, service] of [["publisher", publisher], ["consumer", consumer]]) {
    for (const subject of ["$KV.exedra_store.meetings.x", "$JS.API.STREAM.DELETE.KV_exedra_store", "exedra.out.meetings.m.e"]) {
      const { operation } = await denied(service, (connection) => connection.publish(subject, "x"));
      assert.equal(operation, "publish", `${user} ${subject}`);
    }
    for (const subject of ["_INBOX_exedra.>", "$KV.>", "exedra.in.>"]) {
      const { operation } = await denied(service, (connection) => {
        const heard = connection.subscribe(subject, { callback: () => {} });
        heard.closed.catch(() => {});
      });
      assert.equal(operation, "subscription", `${user} ${subject}`);
    }
  }
});
