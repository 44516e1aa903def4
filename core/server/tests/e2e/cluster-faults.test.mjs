// Three nodes, and what is done to them: one is frozen and comes back, the nats-server goes away and returns, the wire
// between is cut, all are restarted one after the other. Nobody is disconnected who need not be, nothing is lost, and
// everything heals by itself. The long form repeats each story.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Balancer } from "./harness/balancer.mjs";
import { connectClient, heard, newMeeting, participants } from "./harness/client.mjs";
import { BENCH, others, SHARED, startCluster } from "./harness/cluster.mjs";
import { Crowd } from "./harness/crowd.mjs";
import { MEETINGS } from "./harness/hub.mjs";
import { mint } from "./harness/tokens.mjs";
import { Proxy } from "./harness/proxy.mjs";
import { startNats } from "./harness/nats.mjs";
import { pause, until } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const TIMES = SOAK ? 20 : 1;
const LEASE = 5_000;
const QUICK = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
const LIMITS = { limits: { connections: 20_000, connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 } };
const RECOVERY = { "socketio.recovery": { window: "2m" } };

function story(name, timeout, tell) {
  for (let turn = 1; turn <= TIMES; turn += 1) test(TIMES > 1 ? `${name}, ${turn}` : name, { timeout }, tell);
}

/** Two people at each of three nodes in one meeting; everybody knows everybody. */
async function meetingOfSix(t) {
  const cluster = await startCluster(t, { ...MEETINGS, ...SHARED, ...LIMITS });
  const users = ["ann", "ben", "cyd", "dan", "eve", "fay"];
  const meeting = await newMeeting(cluster.hubs[0], mint("dora"), users);
  const sockets = [];
  for (const [at, user] of users.entries()) {
    const socket = await connectClient(t, cluster.hubs[at % 3], { token: mint(user) });
    assert.equal((await socket.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
    socket.user = user;
    sockets.push(socket);
  }
  await everybodySees(sockets, users);
  return { ...cluster, meeting, users, sockets };
}

const everybodySees = (sockets, users, within = LEASE) =>
  Promise.all(sockets.map((socket) =>
    until(() => participants(socket)?.join() === users.join(), {
      within,
      what: () => `${socket.user} to see ${users}: ${participants(socket)}`,
    })));

const leaves = (socket, user) =>
  socket.heard.filter((one) => one.event === "participantLeft" && one.args[0].userId === user).length;

story("a killed node's members leave everywhere within the lease, each once", 60_000, async (t) => {
  const { hubs, users, sockets } = await meetingOfSix(t);
  const calm = sockets.filter((_, at) => at % 3 !== 2);
  const begin = performance.now();
  await hubs[2].kill();
  await everybodySees(calm, ["ann", "ben", "dan", "eve"]);
  console.log(`presence right everywhere after ${(performance.now() - begin).toFixed(0)} ms`);
  await pause(1_000);
  for (const socket of calm) {
    for (const user of ["cyd", "fay"]) assert.equal(leaves(socket, user), 1, `${socket.user} heard of ${user}`);
    for (const user of ["ann", "ben", "dan", "eve"]) assert.equal(leaves(socket, user), 0);
    assert.deepEqual(socket.drops, [], "nobody else is disturbed");
  }
  assert.equal(users.length, 6);
});

story("a frozen node's members leave, and it takes its own back", 120_000, async (t) => {
  const { hubs, users, sockets } = await meetingOfSix(t);
  const [calm, frozen] = [sockets.filter((_, at) => at % 3 !== 2), sockets.filter((_, at) => at % 3 === 2)];
  hubs[2].program.child.kill("SIGSTOP");
  await everybodySees(calm, ["ann", "ben", "dan", "eve"]);
  await pause(2_000);
  hubs[2].program.child.kill("SIGCONT");
  await everybodySees(sockets, users, 10_000);
  await pause(1_000);
  for (const socket of calm) for (const user of ["cyd", "fay"]) assert.equal(leaves(socket, user), 1);
  for (const socket of sockets) assert.deepEqual(participants(socket), users, "nobody is listed twice");
  assert.deepEqual(frozen.map((socket) => socket.drops), [[], []], "its clients are still there");
  assert.deepEqual(await Promise.all(hubs.map(others)), [2, 2, 2]);
});

story("the nats-server is away for a minute", 180_000, async (t) => {
  const away = 60_000;
  const { nats, hubs } = await startCluster(t, { ...BENCH, ...LIMITS, ...RECOVERY });
  const crowd = await Crowd.gather(t, 60, 6, (n) => hubs[n % 3].url);
  await crowd.talk(crowd.people, 1);
  await crowd.heardAll();
  await nats.kill();
  await until(async () => (await Promise.all(hubs.map(ready))).every((state) => !state), { what: "readiness to say so" });
  const begin = performance.now();
  while (performance.now() - begin < away) {
    await crowd.talk(crowd.people.filter((_, n) => n % 10 === 0), 1); // rooms go on, here and there
    await pause(1_000);
  }
  await nats.start();
  const back = performance.now();
  await until(async () => (await Promise.all(hubs.map(ready))).every(Boolean), { within: 5_000, what: "all to be ready" });
  await crowd.heardAll(5_000);
  console.log(`healed ${(performance.now() - back).toFixed(0)} ms after its return`);
  assert.deepEqual(crowd.people.map((person) => person.drops).filter((drops) => drops > 0), [], "nobody was disconnected");
  await crowd.talk(crowd.people, 2);
  await crowd.heardAll();
});

story("a node's wire is cut again and again", 120_000, async (t) => {
  const nats = await startNats(t);
  const proxy = await Proxy.start(t, nats.url.replace("nats:", "http:"));
  const url = (at) => (at === 1 ? proxy.url.replace("http:", "nats:") : nats.url);
  const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS, ...RECOVERY }, { nats, url });
  const crowd = await Crowd.gather(t, 30, 3, (n) => hubs[n % 3].url);
  let talking = true;
  const talk = (async () => {
    while (talking) {
      await crowd.talk(crowd.people.filter((_, n) => n % 5 === 0), 1);
      await pause(5);
    }
  })();
  for (let cut = 0; cut < 6; cut += 1) {
    await pause(300);
    proxy.closed = true;
    proxy.cut();
    await pause(100 + 200 * cut);
    proxy.closed = false;
    await until(() => ready(hubs[0]), { within: 10_000, what: "the node to be back" });
  }
  talking = false;
  await talk;
  await crowd.heardAll(10_000);
  assert.deepEqual(crowd.people.map((person) => person.drops).filter((drops) => drops > 0), []);
});

story("all nodes are restarted one after the other", 180_000, async (t) => {
  const { hubs } = await startCluster(t, { ...BENCH, ...LIMITS, ...RECOVERY, server: { listen: "127.0.0.1:0", drain: "1s" } });
  const balancer = await Balancer.start(t, hubs);
  const crowd = await Crowd.gather(t, 90, 9, () => balancer.url, { ...QUICK, hall: "hall" });
  await crowd.talk(crowd.people, 1);
  await crowd.heardAll();
  const ids = new Map(crowd.people.map((person) => [person, person.socket.id]));
  let talking = true;
  const speakers = [...crowd.rooms.values()].map((people) => people[0]);
  // A word whose acknowledgement never came may have been heard or not; all others must have been.
  let doubts = 0;
  const talk = Promise.all(speakers.map(async (person) => {
    while (talking) {
      await until(() => person.socket.connected, { within: 20_000 });
      await person.say().catch(() => (doubts += 1));
      await pause(20);
    }
  }));
  for (const hub of hubs) {
    balancer.out.add(hub);
    await hub.kill("SIGTERM");
    await hub.start();
    await until(async () => (await Promise.all(hubs.map(others))).every((count) => count === 2), { within: 15_000 });
    balancer.out.delete(hub);
    await until(() => crowd.people.every((person) => person.socket.connected), { within: 20_000, what: "all to be back" });
  }
  talking = false;
  await talk;
  await crowd.heardAll(20_000);
  console.log(`${crowd.deliveries()} deliveries, ${doubts} words in doubt`);
  const moved = crowd.people.filter((person) => person.drops > 0);
  assert.ok(moved.length >= 60, `nearly everybody has moved: ${moved.length}`);
  for (const person of moved) {
    assert.equal(person.socket.recovered, true, `${person.name} has recovered`);
    assert.equal(person.socket.id, ids.get(person));
  }
});

async function ready(hub) {
  return (await fetch(`${hub.admin}/readyz`)).ok;
}
