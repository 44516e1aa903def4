// Plugins on the nodes of a running cluster: they come, change and go, one node at a time, and nobody else notices.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, heard, rest } from "./harness/client.mjs";
import { node, SHARED, startCluster } from "./harness/cluster.mjs";
import { openService } from "./harness/nats.mjs";
import { until } from "./harness/wait.mjs";

const ECHO = { "plugins.echo": { enabled: true, auth: "none" } };
const POLL = { "plugins.quick-poll": { enabled: true }, "plugins.quick-poll.settings": { polls: ["lunch"], options: ["pizza", "salad"] } };
const LEASE = "3s";

test("a poll on nodes that get it one after the other", { timeout: 120_000 }, async (t) => {
  const { nats, hubs } = await startCluster(t, { ...SHARED, ...ECHO }, { nodes: 2, lease: LEASE });
  const service = await openService(t, nats);
  const change = (at, sections) => {
    hubs[at].configure(node({ ...SHARED, ...ECHO, ...sections }, `n${at + 1}`, nats.url, LEASE));
    process.kill(hubs[at].program.pid, "SIGHUP");
  };
  const types = async (at) => (await fetch(`${hubs[at].url}/types.d.ts`)).text();
  const has = (at, it) => until(async () => (await types(at)).includes("quick-poll") === it, { within: 10_000, what: `the documents of node ${at + 1} to follow` });
  const member = async (at) => {
    const socket = await connectClient(t, hubs[at], { namespace: "/quick-poll" });
    socket.stands = (votes, members) =>
      heard(socket, "poll", (poll) => JSON.stringify([poll.votes, poll.members]) === JSON.stringify([votes, members]), 10_000);
    return socket;
  };
  const join = async (socket) => assert.ok((await socket.emitWithAck("join", { poll: "lunch" })).options);
  const neighbours = await Promise.all(hubs.map((hub) => connectClient(t, hub)));

  // The first node has it, and somebody is in it; then the second gets it, and knows.
  change(0, POLL);
  await has(0, true);
  assert.ok(!(await types(1)).includes("quick-poll"));
  const ann = await member(0);
  await Promise.all([ann.stands({ pizza: 0, salad: 0 }, 1), join(ann)]);
  change(1, POLL);
  await has(1, true);
  const members = async (at) => (await rest(hubs[at], "GET", "/quick-poll/lunch")).json.members;
  await until(async () => (await members(1)) === 1, { what: "the second node to know who is at the first" });
  const bob = await member(1);
  await Promise.all([ann.stands({ pizza: 0, salad: 0 }, 2), bob.stands({ pizza: 0, salad: 0 }, 2), join(bob)]);
  await Promise.all([ann.stands({ pizza: 1, salad: 0 }, 2), bob.stands({ pizza: 1, salad: 0 }, 2), bob.emitWithAck("vote", { option: "pizza" })]);

  // Services are heard by whichever node it is that takes their events, each event once.
  const inject = () => service.request("exedra.in.quick-poll.lunch.vote", { option: "salad" });
  const salads = async (at) => (await rest(hubs[at], "GET", "/quick-poll/lunch")).json.votes.salad;
  const taken = async () => {
    await until(async () => (await inject().catch(() => ({}))).ok, { within: 15_000, what: "injected votes to be taken" });
    const before = await salads(0);
    for (let n = 0; n < 20; n++) assert.equal((await inject()).ok, true);
    assert.equal(await salads(1), before + 20);
    return before + 20;
  };
  const salad = await taken();

  // Other settings on one node: its clients stay, and hear the other node's still.
  change(0, { ...POLL, "plugins.quick-poll.settings": { polls: ["lunch", "later"], options: ["pizza", "salad"] } });
  await until(async () => (await rest(hubs[0], "GET", "/quick-poll/later")).status === 200, { what: "the new settings" });
  const counted = { pizza: 2, salad };
  await Promise.all([ann.stands(counted, 2), bob.stands(counted, 2), ann.emitWithAck("vote", { option: "pizza" })]);
  assert.deepEqual([ann.drops, bob.drops], [[], []]);

  // Off on one node: its clients go, the other's see that, and go on. So do services, whichever node took their events.
  const gone = ann.stands(counted, 1);
  change(1, {});
  await Promise.all([gone, has(1, false), until(() => bob.drops.length > 0, { what: "bob to be sent away" })]);
  assert.equal((await rest(hubs[0], "GET", "/quick-poll/lunch")).json.members, 1);
  assert.deepEqual(ann.drops, []);
  await until(async () => (await inject().catch(() => ({}))).ok, { within: 15_000, what: "the other node to take injected votes" });
  const recounted = { pizza: 2, salad: await salads(0) }; // what was not answered in time was kept, and came before

  // And on again.
  change(1, POLL);
  await has(1, true);
  const eve = await member(1);
  await Promise.all([ann.stands(recounted, 2), eve.stands(recounted, 2), join(eve)]);
  await taken();
  for (const socket of neighbours) assert.deepEqual(socket.drops, []);
});
