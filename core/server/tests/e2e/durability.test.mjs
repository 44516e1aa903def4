// A vote that was answered 2xx is there after kill -9 and a restart, whatever the moment of the kill.
//
// Each voter of a meeting evaluates the next person in the ring with a score of their own, so that the results show
// every single vote. A vote is `ok` when it was answered 2xx and `unknown` when the answer never came; after the
// restart ok ⊆ read ⊆ ok ∪ unknown must hold. A control takes the store away and must see the checker object.
// Needs: Node.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";

import { newMeeting, rest } from "./harness/client.mjs";
import { MEETINGS, startHub } from "./harness/hub.mjs";
import { mint } from "./harness/tokens.mjs";
import { Ledger } from "./harness/votes.mjs";
import { pause } from "./harness/wait.mjs";

const KILLS = process.env.EXEDRA_SOAK ? 50 : 5;
const VOTERS = Array.from({ length: 24 }, (_, number) => `voter-${number}`);
// So many votes that a quick hub on a quiet machine is still at work when the kill comes.
const MEETINGS_EACH_ROUND = 160;
const AT_ONCE = 32;
const LIMITS = { limits: { connections_per_ip: 10_000, connects_per_second: 100_000, events_per_second: 100_000 } };

const creator = mint("dora");
const tokens = new Map(VOTERS.map((voter) => [voter, mint(voter)]));
const nextOf = (voter) => VOTERS[(VOTERS.indexOf(voter) + 1) % VOTERS.length];
const key = (meeting, voter) => `${meeting} ${voter}`;

/** Casts votes with several callers at once until the hub goes away or there is nothing left to cast. */
async function voteUntilKilled(hub, ledger, meetings) {
  const work = meetings.flatMap((meeting) => VOTERS.map((voter) => [meeting, voter]));
  const caller = async () => {
    for (let next = work.pop(); next && !hub.program.ended; next = work.pop()) {
      const [meeting, voter] = next;
      const score = Math.floor(Math.random() * 1_000) / 10;
      const evaluations = [{ targetParticipantId: nextOf(voter), emotionalScale: score, isToxic: false }];
      const route = `/meetings/${meeting}/emotional-evaluations`;
      try {
        const answer = await rest(hub, "POST", route, { token: tokens.get(voter), body: { evaluations } });
        assert.ok(answer.status < 300, `a vote was refused: ${answer.text}`);
        ledger.ok.set(key(meeting, voter), score);
      } catch (error) {
        if (error.code === "ERR_ASSERTION") throw error;
        ledger.unknown.set(key(meeting, voter), score);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  return work.length;
}

async function readVotes(hub, meetings) {
  const read = new Map();
  for (const meeting of meetings) {
    const answer = await rest(hub, "GET", `/meetings/${meeting}/results`, { token: creator });
    if (answer.status === 404) continue;
    assert.equal(answer.status, 200, answer.text);
    for (const phase of answer.json.phases) {
      let evaluated = 0;
      for (const person of phase.participants) {
        if (person.emotionalCount === 0) continue;
        assert.equal(person.emotionalCount, 1, "no vote counts twice");
        const voter = VOTERS.find((one) => nextOf(one) === person.participantId);
        read.set(key(meeting, voter), person.emotionalMean);
        evaluated += 1;
      }
      assert.equal(phase.emotionalSubmissions, evaluated);
    }
  }
  return read;
}

/** New meetings, votes, kill -9 at a random moment; the hub is down afterwards. */
async function killedRound(hub, ledger) {
  const made = Array.from({ length: MEETINGS_EACH_ROUND }, () => newMeeting(hub, creator, VOTERS));
  const meetings = await Promise.all(made);
  ledger.meetings.push(...meetings);
  const voting = voteUntilKilled(hub, ledger, meetings);
  await pause(50 + Math.random() * 1_000);
  const ended = await hub.kill("SIGKILL");
  assert.equal(ended.signal, "SIGKILL", "the hub was alive until it was killed");
  return voting;
}

test(`${KILLS} kills lose no answered vote`, { timeout: 1_200_000 }, async (t) => {
  const hub = await startHub(t, { ...MEETINGS, ...LIMITS });
  const ledger = new Ledger();
  let slowest = 0;
  let underLoad = 0;
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const left = await killedRound(hub, ledger);
    if (left > 0) underLoad += 1;
    const begin = performance.now();
    await hub.start();
    slowest = Math.max(slowest, performance.now() - begin);
    const read = await readVotes(hub, ledger.meetings.slice(-MEETINGS_EACH_ROUND * 2));
    const recent = new Set(ledger.meetings.slice(-MEETINGS_EACH_ROUND * 2));
    const part = new Ledger();
    for (const kind of ["ok", "unknown"]) {
      for (const [vote, score] of ledger[kind]) if (recent.has(vote.split(" ")[0])) part[kind].set(vote, score);
    }
    assert.deepEqual(part.objections(read), [], `after kill ${kill}`);
  }
  assert.deepEqual(ledger.objections(await readVotes(hub, ledger.meetings)), [], "all rounds together, at the end");
  assert.ok(ledger.ok.size >= KILLS * 10, `enough votes to tell: ${ledger.ok.size}`);
  assert.ok(underLoad >= KILLS * 0.6, `kills came under load: ${underLoad} of ${KILLS}`);
  t.diagnostic(
    `${KILLS} kills (${underLoad} under load), ${ledger.ok.size} votes answered, ${ledger.unknown.size} unknown, ` +
      `slowest restart ${slowest.toFixed(0)} ms`,
  );
});

test("checker objects to lost store", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...MEETINGS, ...LIMITS });
  const ledger = new Ledger();
  await killedRound(hub, ledger);
  rmSync(hub.store, { recursive: true });
  await hub.start();
  const objections = ledger.objections(await readVotes(hub, ledger.meetings));
  assert.ok(ledger.ok.size > 0);
  assert.equal(objections.length, ledger.ok.size, "every answered vote is missed");
});

test("replaced vote says so, survives", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...MEETINGS, ...LIMITS });
  const [voter] = VOTERS;
  const meeting = await newMeeting(hub, creator, VOTERS);
  const cast = (score, headers) => {
    const evaluations = [{ targetParticipantId: nextOf(voter), emotionalScale: score, isToxic: false }];
    const route = `/meetings/${meeting}/emotional-evaluations`;
    return rest(hub, "POST", route, { token: tokens.get(voter), body: { evaluations }, headers });
  };
  const first = await cast(10);
  const second = await cast(20, { "idempotency-key": "k-1" });
  await hub.kill();
  await hub.start();
  const retried = await cast(20, { "idempotency-key": "k-1" });
  assert.deepEqual([first.status < 300, second.status < 300, retried.status < 300], [true, true, true]);
  assert.notDeepEqual(first.json, second.json, "the second submission says that it replaced the first");
  assert.deepEqual(retried.json, second.json, "a retry is answered as the first time");
  const read = await readVotes(hub, [meeting]);
  assert.deepEqual([...read.values()], [20]);
});
