// Three nodes as one hub: who hears a room, who is in it, and what a node's death changes.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, heard, newMeeting, participants, rest } from "./harness/client.mjs";
import { BENCH, member, others, say, startCluster } from "./harness/cluster.mjs";
import { MEETINGS } from "./harness/hub.mjs";
import { mint } from "./harness/tokens.mjs";
import { pause, until } from "./harness/wait.mjs";

test("a room is heard on every node that has a member, and on no other", async (t) => {
  const { hubs } = await startCluster(t, BENCH);
  const [ann, bob] = [await member(t, hubs[0], mint("ann"), "r"), await member(t, hubs[1], mint("bob"), "r")];
  const cyd = await member(t, hubs[2], mint("cyd"), "elsewhere");
  const before = await Promise.all(hubs.map((hub) => hub.total('exedra_bus_messages_total{direction="in"}')));
  for (let n = 0; n < 500; n += 1) await Promise.all([say(ann, "r", `a${n}`), say(bob, "r", `b${n}`)]);
  for (const socket of [ann, bob]) {
    await until(() => socket.said.length >= 1000, { what: () => `1000 messages; ${socket.said.length}` });
    for (const who of ["a", "b"]) {
      const own = socket.said.filter((text) => text.startsWith(who));
      assert.deepEqual(own, Array.from({ length: 500 }, (_, n) => `${who}${n}`), "each once and in order");
    }
  }
  assert.deepEqual(cyd.said, []);
  const after = await Promise.all(hubs.map((hub) => hub.total('exedra_bus_messages_total{direction="in"}')));
  const heardBy = after.map((count, at) => count - before[at]);
  assert.ok(heardBy[0] >= 500 && heardBy[0] < 560, `the other's messages and heartbeats: ${heardBy}`);
  assert.ok(heardBy[1] >= 500 && heardBy[1] < 560, `the other's messages and heartbeats: ${heardBy}`);
  assert.ok(heardBy[2] < 60, `heartbeats alone: ${heardBy}`);
});

test("members of a killed node leave everywhere within the lease, each once", async (t) => {
  const { hubs } = await startCluster(t, MEETINGS);
  const users = ["ann", "bob", "cyd", "dan"];
  const meeting = await newMeeting(hubs[0], mint("dora"), users);
  // Each node has a store of its own here, so each is told of the meeting by the directory of the first.
  const sockets = [];
  for (const user of users.slice(0, 2)) sockets.push(await connectClient(t, hubs[0], { token: mint(user) }));
  for (const socket of sockets) await socket.emitWithAck("join_meeting", { meetingId: meeting });
  await heard(sockets[0], "participants_updated", (list) => list.participants.length === 2);
  assert.deepEqual(participants(sockets[0]), ["ann", "bob"]);
});
