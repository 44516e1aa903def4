// What several nodes cost: the processor time of a hub for a delivery, alone and as one of three, and the way of an event
// to the next node. Prints figures; what it asserts is that they are of the work that was meant to be done. On a machine
// that does other things the figures say little.
// Needs: Nats.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BENCH, startCluster } from "./harness/cluster.mjs";
import { Crowd } from "./harness/crowd.mjs";
import { startHub } from "./harness/hub.mjs";
import { pause } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const ROUNDS = SOAK ? 5 : 1;
const [CLIENTS, ROOMS, EACH] = SOAK ? [3_000, 300, 40] : [600, 60, 10];
const PINGS = SOAK ? 2_000 : 300;
const TICK = 100; // jiffies a second
const LIMITS = { limits: { connections: 20_000, connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };

/** Processor time of a hub so far, in microseconds. */
function spent(hub) {
  const fields = readFileSync(`/proc/${hub.program.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return ((Number(fields[11]) + Number(fields[12])) / TICK) * 1e6;
}

/** One speaker in each room says `EACH` things, one after another; the cost of a delivery at each hub. */
async function cost(t, hubs) {
  const crowd = await Crowd.gather(t, CLIENTS, ROOMS, (n) => hubs[n % hubs.length].url);
  const speakers = [...crowd.rooms.values()].map((people, at) => people[at % hubs.length]);
  await crowd.talk(speakers, 2);
  await crowd.heardAll();
  const before = await Promise.all(hubs.map(async (hub) => [spent(hub), await delivered(hub)]));
  await crowd.talk(speakers, EACH);
  await crowd.heardAll();
  const after = await Promise.all(hubs.map(async (hub) => [spent(hub), await delivered(hub)]));
  crowd.people.forEach((person) => person.socket.disconnect());
  const each = hubs.map((_, at) => ({ time: after[at][0] - before[at][0], count: after[at][1] - before[at][1] }));
  assert.equal(each.reduce((sum, one) => sum + one.count, 0), CLIENTS * EACH, "each delivery was made once");
  return each.map((one) => one.time / one.count);
}

const delivered = (hub) => hub.total("exedra_events_delivered_total");
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const list = (values) => values.map((value) => value.toFixed(1)).join(" ");

test("processor time of a delivery, alone and as one of three", { timeout: 900_000 }, async (t) => {
  const ratios = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const alone = await startHub(t, { ...BENCH, ...LIMITS });
    const [one] = await cost(t, [alone]);
    await alone.stop();
    const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS });
    const three = await cost(t, hubs);
    await Promise.all(hubs.map((hub) => hub.stop()));
    ratios.push(median(three) / one);
    console.log(`alone ${one.toFixed(1)} us, three nodes ${list(three)} us a delivery in rooms of ${CLIENTS / ROOMS}`);
  }
  console.log(`ratio, median of ${ROUNDS}: ${median(ratios).toFixed(2)} (${list(ratios)})`);
});

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
