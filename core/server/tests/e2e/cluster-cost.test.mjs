// What several nodes cost: the processor time of a hub for a delivery, as one hub, as three that do not know each other,
// and as three nodes of a cluster; and the way of an event to the next node. The three hubs apart share the machine as the
// nodes do, each with a third of the load, so that what nodes cost more than they is the cluster's. Prints figures; what
// it asserts is that they are of the work that was meant to be done. On a machine that does other things they say little.
// Needs: Nats.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { BENCH, startCluster } from "./harness/cluster.mjs";
import { Crowd } from "./harness/crowd.mjs";
import { startHub } from "./harness/hub.mjs";
import { pause } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const ROUNDS = SOAK ? 5 : 1;
const SIZES = SOAK ? [[3_000, 300, 60], [3_000, 30, 60]] : [[600, 60, 10]];
const PINGS = SOAK ? 2_000 : 300;
const LIMITS = { limits: { connections: 20_000, connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };

/** Processor time of a hub so far, in microseconds: of each thread, as the scheduler has counted it. */
function spent(hub) {
  const threads = `/proc/${hub.program.pid}/task`;
  const time = (thread) => Number(readFileSync(`${threads}/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e3;
  return readdirSync(threads).map(time).reduce((sum, one) => sum + one, 0);
}

/** One speaker in each room says `each` things, one after another; the cost of a delivery at each hub. */
async function cost(t, hubs, [clients, rooms, each], hubOf = (n) => n) {
  const crowd = await Crowd.gather(t, clients, rooms, (n) => hubs[hubOf(n) % hubs.length].url);
  const speakers = [...crowd.rooms.values()].map((people, at) => people[at % hubs.length]);
  await crowd.talk(speakers, 2);
  await crowd.heardAll();
  const before = await Promise.all(hubs.map(async (hub) => [spent(hub), await delivered(hub)]));
  await crowd.talk(speakers, each);
  await crowd.heardAll();
  const after = await Promise.all(hubs.map(async (hub) => [spent(hub), await delivered(hub)]));
  crowd.people.forEach((person) => person.socket.disconnect());
  const costs = hubs.map((_, at) => ({ time: after[at][0] - before[at][0], count: after[at][1] - before[at][1] }));
  assert.equal(costs.reduce((sum, one) => sum + one.count, 0), clients * each, "each delivery was made once");
  return costs.map((one) => one.time / one.count);
}

const delivered = (hub) => hub.total("exedra_events_delivered_total");
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const list = (values) => values.map((value) => value.toFixed(2)).join(" ");

const stopped = async (hubs, costs) => {
  await Promise.all(hubs.map((hub) => hub.stop()));
  return median(costs);
};

for (const size of SIZES) {
  const people = size[0] / size[1];
  test(`processor time of a delivery in rooms of ${people}, alone and as one of three`, { timeout: 900_000 }, async (t) => {
    const start = () => startHub(t, { ...BENCH, ...LIMITS });
    const rounds = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const one = [await start()];
      const alone = await stopped(one, await cost(t, one, size));
      const strangers = await Promise.all([start(), start(), start()]);
      const apart = await stopped(strangers, await cost(t, strangers, size, (n) => Math.floor(n / people)));
      const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS });
      const together = await stopped(hubs, await cost(t, hubs, size));
      rounds.push({ alone, apart, together });
    }
    const figures = (pick) => { const all = rounds.map(pick); return `${median(all).toFixed(2)} (${list(all)})`; };
    console.log(`us a delivery: alone ${figures((r) => r.alone)}, three apart ${figures((r) => r.apart)}, a cluster ${figures((r) => r.together)}`);
    console.log(`a cluster costs ${figures((r) => r.together / r.apart)} times three apart, ${figures((r) => r.together / r.alone)} times one alone`);
  });
}

test("the way to the next node", { timeout: 300_000 }, async (t) => {
  const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS });
  const crowd = await Crowd.gather(t, 3, 1, (n) => hubs[n % 2].url); // 0 and 2 at the first node, 1 at the second
  const [speaker, far, near] = crowd.people;
  const arrivals = { near: [], far: [] };
  near.socket.on("tick", () => arrivals.near.push(performance.now()));
  far.socket.on("tick", () => arrivals.far.push(performance.now()));
  for (let n = 0; n < PINGS; n += 1) {
    await speaker.say();
    await pause(2);
  }
  await crowd.heardAll();
  assert.equal(arrivals.far.length, PINGS);
  const hops = arrivals.far.map((at, n) => at - arrivals.near[n]).toSorted((a, b) => a - b);
  const at = (part) => hops[Math.floor(hops.length * part)].toFixed(2);
  console.log(`extra hop: median ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${hops.at(-1).toFixed(2)} ms of ${PINGS}`);
});
