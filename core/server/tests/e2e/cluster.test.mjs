// Three nodes as one hub: who hears a room, who is in it, and what the death, the freezing and the return of nodes and of
// the nats-server change. The long form repeats each story.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { heard, connectClient, newMeeting, participants } from "./harness/client.mjs";
import { Balancer } from "./harness/balancer.mjs";
import { BENCH, member, say, startCluster } from "./harness/cluster.mjs";
import { Crowd } from "./harness/crowd.mjs";
import { MEETINGS } from "./harness/hub.mjs";
import { startNats } from "./harness/nats.mjs";
import { mint } from "./harness/tokens.mjs";
import { pause, until } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const TIMES = SOAK ? 20 : 1;
const QUICK = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
const LIMITS = { limits: { connections: 20_000, connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };
const RECOVERY = { "socketio.recovery": { window: "1m" } };
const HEARD = 'exedra_bus_messages_total{direction="in"}';

/** The same story so many times, each with a cluster of its own. */
function story(name, timeout, tell) {
  for (let turn = 1; turn <= TIMES; turn += 1) test(TIMES > 1 ? `${name}, ${turn}` : name, { timeout }, tell);
}

test("a room is heard on every node that has a member, and on no other", async (t) => {
  const { hubs } = await startCluster(t, BENCH);
  const [ann, bob] = [await member(t, hubs[0], mint("ann"), "r"), await member(t, hubs[1], mint("bob"), "r")];
  const cyd = await member(t, hubs[2], mint("cyd"), "elsewhere");
  const before = await Promise.all(hubs.map((hub) => hub.total(HEARD)));
  for (let n = 0; n < 500; n += 1) await Promise.all([say(ann, "r", `a${n}`), say(bob, "r", `b${n}`)]);
  for (const socket of [ann, bob]) {
    await until(() => socket.said.length >= 1000, { what: () => `1000 messages; ${socket.said.length}` });
    for (const who of ["a", "b"]) {
      const own = socket.said.filter((text) => text.startsWith(who));
      assert.deepEqual(own, Array.from({ length: 500 }, (_, n) => `${who}${n}`), "each once and in order");
    }
  }
  assert.deepEqual(cyd.said, []);
  const after = await Promise.all(hubs.map((hub) => hub.total(HEARD)));
  const [a, b, c] = after.map((count, at) => count - before[at]);
  const heartbeats = 60;
  assert.ok(a >= 500 && a < 500 + heartbeats, `one message each of the other's, and heartbeats: ${a}`);
  assert.ok(b >= 500 && b < 500 + heartbeats, `one message each of the other's, and heartbeats: ${b}`);
  assert.ok(c < heartbeats, `heartbeats alone: ${c}`);
});

story("3,000 clients in 300 rooms hear everything once and in order", 180_000, async (t) => {
  const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS });
  const crowd = await Crowd.gather(t, 3_000, 300, (n) => hubs[n % 3].url);
  const speakers = crowd.people.filter((_, n) => n % 10 < 3); // three of ten, one at each node
  await crowd.talk(speakers, 5);
  await crowd.heardAll(60_000);
  console.log(`${crowd.people.length} clients, ${crowd.deliveries()} deliveries, each once and in order`);
  assert.equal(crowd.deliveries(), 3_000 * 3 * 5);
});

story("a killed node's clients go on elsewhere, and the others do not notice", 120_000, async (t) => {
  const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS, ...RECOVERY });
  const balancer = await Balancer.start(t, hubs);
  const crowd = await Crowd.gather(t, 120, 12, () => balancer.url, { ...QUICK, hall: "hall" });
  await crowd.talk(crowd.people, 2);
  await crowd.heardAll();
  const ids = new Map(crowd.people.map((person) => [person, person.socket.id]));
  const speakers = [...crowd.rooms.values()].map((people) => people[0]);
  await hubs[2].kill();
  const hit = new Set(crowd.people.filter((person) => !person.socket.connected));
  await until(() => crowd.people.some((person) => person.drops > 0));
  await pause(1_000); // all of them notice within moments
  const calm = speakers.filter((person) => person.drops === 0 && !hit.has(person));
  for (let n = 0; n < 20; n += 1) {
    await crowd.talk(calm, 1);
    await pause(20);
  }
  await until(() => crowd.people.every((person) => person.socket.connected), { within: 15_000, what: "all to be back" });
  await crowd.talk(calm, 3);
  await crowd.heardAll();
  const dropped = crowd.people.filter((person) => person.drops > 0);
  assert.ok(dropped.length >= 20 && dropped.length <= 60, `a third was at the node that died: ${dropped.length}`);
  for (const person of dropped) {
    assert.equal(person.socket.recovered, true, `${person.name} has recovered`);
    assert.equal(person.socket.id, ids.get(person), "and is the same socket");
  }
});
