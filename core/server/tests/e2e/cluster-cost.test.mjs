// What several nodes cost: the processor time of the hubs for a delivery, as one hub, as three that do not know each
// other, and as three nodes of a cluster; and the way of an event to the next node. The load is the same in all three, and
// the three hubs apart share the machine and the load as the nodes do, so that what nodes cost more than they is the
// cluster's. Prints figures; what it asserts is that they are of the work that was meant to be done: the load tester
// counts each delivery, and looks at who holds the ports. On a machine that does other things they say little.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BENCH, startCluster } from "./harness/cluster.mjs";
import { Crowd } from "./harness/crowd.mjs";
import { exedra, startHub } from "./harness/hub.mjs";
import { run } from "./harness/process.mjs";
import { pause } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const ROUNDS = SOAK ? 5 : 1;
// Members, rooms, events a second, events: many small rooms in peace and at a good half of two cores, and larger rooms.
const LOADS = SOAK ? [[3_000, 300, 1_000, 10_000], [3_000, 300, 6_000, 60_000], [3_000, 30, 600, 6_000]] : [[300, 30, 200, 400]];
const PINGS = SOAK ? 2_000 : 300;
const LIMITS = { limits: { connections: 20_000, connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };

/** Microseconds of processor time of a delivery, over all hubs. */
async function cost(hubs, [members, rooms, rate, events], ...more) {
  const others = hubs.slice(1).flatMap((hub) => ["--node", hub.url]);
  const load = ["-n", members, "--rooms", rooms, "--rate", rate, "--events", events, "--warm-up", rate].map(String);
  const told = ["--url", hubs[0].url, "-c", hubs[0].config, "--expect-pid", String(hubs[0].program.pid), "--json", "--quiet"];
  const { code, stdout, stderr } = await run(exedra(), ["load", "cluster", ...load, ...others, ...told, ...more]);
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout);
  await Promise.all(hubs.map((hub) => hub.stop()));
  const figure = (name) => report.figures[name].value;
  assert.equal(figure("nodes"), hubs.length);
  assert.equal(figure("deliveries"), members / rooms * events);
  return figure("cpu_per_delivery");
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const list = (values) => values.map((value) => value.toFixed(2)).join(" ");

for (const load of LOADS) {
  const [members, rooms, rate] = load;
  test(`processor time of a delivery, ${rate} events a second in rooms of ${members / rooms}`, { timeout: 900_000 }, async (t) => {
    const start = () => startHub(t, { ...BENCH, ...LIMITS });
    const rounds = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const alone = await cost([await start()], load);
      const apart = await cost(await Promise.all([start(), start(), start()]), load, "--apart");
      const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS });
      const together = await cost(hubs, load);
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
