// Votes over three nodes that share a store in JetStream, while nodes and the nats-server are killed under them. Voters
// retry on doubt with an idempotency key: every vote that was acknowledged is stored, once, and nothing else is.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { newMeeting, rest } from "./harness/client.mjs";
import { startCluster } from "./harness/cluster.mjs";
import { MEETINGS } from "./harness/hub.mjs";
import { startNats } from "./harness/nats.mjs";
import { mint } from "./harness/tokens.mjs";
import { Ledger } from "./harness/votes.mjs";
import { pause, until } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const TIMES = SOAK ? 20 : 1;
// The short form is kind to a slow machine: after so many kills the voters are left in peace.
const KILLS = SOAK ? Infinity : 9;
const ROOM = 100;
const VOTERS = Array.from({ length: 100 }, (_, number) => `voter-${number}`);
const VOTES = ROOM * VOTERS.length;
const AT_ONCE = 48;
const LIMITS = { limits: { connections_per_ip: 10_000, connects_per_second: 100_000, events_per_second: 100_000 } };
const STRICT = { conf: "max_payload: 2MB\njetstream { sync_interval: always }\n" };

const creator = mint("dora");
const tokens = new Map(VOTERS.map((voter) => [voter, mint(voter)]));
const nextOf = (voter) => VOTERS[(VOTERS.indexOf(voter) + 1) % VOTERS.length];
const key = (meeting, voter) => `${meeting} ${voter}`;

/** Casts every vote until it is acknowledged, each time at the next node, always under the same key. */
async function voteAll(hubs, meetings, ledger, doubts) {
  const work = meetings.flatMap((meeting) => VOTERS.map((voter) => [meeting, voter]));
  let turn = 0;
  const caller = async () => {
    for (let next = work.pop(); next; next = work.pop()) {
      const [meeting, voter] = next;
      const score = Math.floor(Math.random() * 1_000) / 10;
      const evaluations = [{ targetParticipantId: nextOf(voter), emotionalScale: score, isToxic: false }];
      ledger.unknown.set(key(meeting, voter), score);
      for (;;) {
        const answer = await rest(hubs[turn++ % hubs.length], "POST", `/meetings/${meeting}/emotional-evaluations`, {
          token: tokens.get(voter),
          body: { evaluations },
          headers: { "idempotency-key": `${meeting}-${voter}` },
        }).catch(() => undefined);
        if (answer && answer.status < 300) break;
        assert.ok(!answer || answer.status >= 500, `a vote was refused: ${answer?.text}`);
        doubts.count += 1;
        await pause(50);
      }
      ledger.ok.set(key(meeting, voter), score);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
}

/** Each vote that is stored, with its score; no vote may count twice. */
async function readVotes(hub, meetings) {
  const read = new Map();
  for (const meeting of meetings) {
    const answer = await rest(hub, "GET", `/meetings/${meeting}/results`, { token: creator });
    assert.equal(answer.status, 200, answer.text);
    for (const phase of answer.json.phases) {
      for (const person of phase.participants.filter((one) => one.emotionalCount > 0)) {
        assert.equal(person.emotionalCount, 1, "no vote counts twice");
        read.set(key(meeting, VOTERS.find((one) => nextOf(one) === person.participantId)), person.emotionalMean);
      }
      assert.equal(phase.emotionalSubmissions, phase.participants.filter((one) => one.emotionalCount > 0).length);
    }
  }
  return read;
}

for (let turn = 1; turn <= TIMES; turn += 1) {
  test(`${VOTES} votes under kills of nodes and of NATS, ${turn}`, { timeout: 600_000 }, async (t) => {
    const nats = await startNats(t, STRICT);
    const { hubs } = await startCluster(
      t,
      { ...MEETINGS, ...LIMITS, store: { kind: "jetstream" }, nats: { monitor: nats.monitor } },
      { nats },
    );
    const meetings = [];
    for (let n = 0; n < ROOM; n += 1) meetings.push(await newMeeting(hubs[n % 3], creator, VOTERS));
    const [ledger, doubts] = [new Ledger(), { count: 0 }];
    let voting = true;
    const kills = { nodes: 0, nats: 0 };
    const killing = (async () => {
      for (let round = 0; voting && round < KILLS; round += 1) {
        await pause(500 + Math.random() * 1_500);
        if (!voting) break;
        const victim = round % 3 === 2 ? nats : hubs[round % 2 === 0 ? 0 : 1 + (round % 2)];
        await victim.kill("SIGKILL");
        kills[victim === nats ? "nats" : "nodes"] += 1;
        await pause(300 * Math.random());
        await victim.start("livez");
      }
    })();
    await voteAll(hubs, meetings, ledger, doubts);
    voting = false;
    await killing;
    assert.ok(kills.nodes >= 2 && kills.nats >= 1, `kills came under load: ${JSON.stringify(kills)}`);
    for (const hub of hubs) {
      await until(async () => (await fetch(`${hub.admin}/readyz`)).ok, { within: 10_000, what: "a node to be ready" });
    }
    const read = await readVotes(hubs[0], meetings);
    assert.equal(ledger.ok.size, VOTES);
    assert.deepEqual(ledger.objections(read), []);
    assert.equal(read.size, VOTES);
    console.log(`${VOTES} votes acknowledged and stored once; kills ${JSON.stringify(kills)}, ${doubts.count} times in doubt`);
  });
}
