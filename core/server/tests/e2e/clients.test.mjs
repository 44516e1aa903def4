// Three stock clients of different make in one meeting: all hear the same list, and who drops is out at once.
// Needs: Python.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, heard, newMeeting, participants, refusedClient, rest, startPython } from "./harness/client.mjs";
import { MEETINGS, mintByCli, startHub } from "./harness/hub.mjs";
import { mint } from "./harness/tokens.mjs";
import { until } from "./harness/wait.mjs";

const AT_ONCE = 1_000;
const PEOPLE = ["ann", "bob", "cyd"];

/** Ann over WebSocket only, Bob over polling only, Cyd on python-socketio, all joined. */
async function gathering(t) {
  const hub = await startHub(t, MEETINGS);
  const meeting = await newMeeting(hub, mint("dora"), PEOPLE);
  const ann = await connectClient(t, hub, { token: await mintByCli(hub, "ann", "Ann") });
  const bob = await connectClient(t, hub, { token: mint("bob"), transports: ["polling"] });
  for (const socket of [ann, bob]) {
    const joined = await socket.emitWithAck("join_meeting", { meetingId: meeting });
    assert.equal(joined.success, true, JSON.stringify(joined));
    assert.equal(joined.meetingId, meeting);
  }
  const cyd = startPython(t, hub, { token: mint("cyd"), meeting });
  const joined = await heard(cyd, "joined", undefined, 15_000);
  assert.equal(joined.success, true, JSON.stringify(joined));
  return { hub, meeting, ann, bob, cyd, all: [ann, bob, cyd] };
}

const everyone = (clients, people) =>
  until(() => clients.every((client) => String(participants(client)) === String(people)), {
    what: () => `all to hear ${people}: ${JSON.stringify(clients.map(participants))}`,
  });

test("three clients hear one list", { timeout: 60_000 }, async (t) => {
  const { meeting, ann, bob, all } = await gathering(t);
  await everyone(all, PEOPLE);
  assert.equal(ann.io.engine.transport.name, "websocket");
  assert.equal(bob.io.engine.transport.name, "polling");
  const lists = all.map((client) => client.heard.findLast((one) => one.event === "participants_updated").args[0]);
  for (const list of lists) {
    assert.deepEqual(list, lists[0]);
    assert.equal(list.meetingId, meeting);
    assert.equal(list.totalParticipants, 3);
    assert.equal(list.participants.length, 3);
    for (const participant of list.participants) {
      assert.deepEqual(Object.keys(participant).sort(), ["email", "fullName", "joinedAt", "userId"]);
      assert.ok(Math.abs(Date.now() - Date.parse(participant.joinedAt)) < 60_000, participant.joinedAt);
    }
  }
  assert.equal(lists[0].participants.find((participant) => participant.userId === "ann").fullName, "Ann");
});

test("dropped WebSocket leaves at once", { timeout: 60_000 }, async (t) => {
  const { hub, meeting, ann, bob, cyd, all } = await gathering(t);
  await everyone(all, PEOPLE);
  const dropped = performance.now();
  ann.io.engine.transport.ws._socket.destroy();
  await everyone([bob, cyd], ["bob", "cyd"]);
  const took = performance.now() - dropped;
  assert.ok(took < AT_ONCE, `out after ${took.toFixed(0)} ms`);
  const left = bob.heard.filter((one) => one.event === "participantLeft" && one.args[0].userId === "ann");
  assert.equal(left.length, 1, "the leave is told exactly once");
  const route = `/meetings/${meeting}/active-participants`;
  const active = await rest(hub, "GET", route, { token: mint("bob") });
  assert.equal(active.status, 200, active.text);
  assert.deepEqual(active.json.activeParticipants.map((participant) => participant.userId ?? participant._id).sort(), [
    "bob",
    "cyd",
  ]);
});

test("killed Python client leaves at once", { timeout: 60_000 }, async (t) => {
  const { ann, bob, cyd, all } = await gathering(t);
  await everyone(all, PEOPLE);
  const killed = performance.now();
  await cyd.end("SIGKILL");
  await everyone([ann, bob], ["ann", "bob"]);
  assert.ok(performance.now() - killed < AT_ONCE);
});

test("goodbye of polling client counts", { timeout: 60_000 }, async (t) => {
  const { ann, bob, cyd, all } = await gathering(t);
  await everyone(all, PEOPLE);
  bob.disconnect();
  await everyone([ann, cyd], ["ann", "cyd"]);
});

test("two tabs are one participant", { timeout: 60_000 }, async (t) => {
  const { hub, meeting, ann, bob, cyd, all } = await gathering(t);
  await everyone(all, PEOPLE);
  const tab = await connectClient(t, hub, { token: mint("ann"), transports: ["polling", "websocket"] });
  const joined = await tab.emitWithAck("join_meeting", { meetingId: meeting });
  assert.deepEqual(joined.participants.map((participant) => participant.userId).sort(), PEOPLE);
  ann.disconnect();
  const asked = await bob.emitWithAck("get_participants", { meetingId: meeting });
  assert.equal(asked.totalParticipants, 3, "the other tab is still there");
  tab.disconnect();
  await everyone([bob, cyd], ["bob", "cyd"]);
});

test("uninvited user stays outside", { timeout: 60_000 }, async (t) => {
  const { hub, meeting, ann, all } = await gathering(t);
  await everyone(all, PEOPLE);
  const eve = await connectClient(t, hub, { token: mint("eve") });
  const answer = await eve.emitWithAck("join_meeting", { meetingId: meeting });
  assert.equal(answer.success, false);
  assert.equal(typeof answer.error, "string");
  await ann.emitWithAck("get_participants", { meetingId: meeting });
  assert.deepEqual(participants(ann), PEOPLE);
  assert.equal(participants(eve), undefined);
});

test("client without token refused", { timeout: 60_000 }, async (t) => {
  const { hub } = await gathering(t);
  const error = await refusedClient(t, hub, {});
  assert.ok(error.message.length > 0);
  assert.equal(error.data.code, "UNAUTHORIZED");
});
