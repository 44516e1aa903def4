// A reader that stops is cut, at its budget or when its socket has stood still for long enough, and counted as
// `slow_consumer`; one that is only slow is kept, and nobody else notices. And a hub without free files keeps serving.
// Needs: Node.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { test } from "node:test";

import { connectClient, openClient } from "./harness/client.mjs";
import { ECHO, startHub } from "./harness/hub.mjs";
import { RawClient } from "./harness/raw.mjs";
import { pause, until } from "./harness/wait.mjs";

const OPTIONS = { timeout: 90_000 };

/** Characters in each event; the hub sends each back. */
const SIZE = 20_000;

const CUT = 'exedra_disconnects_total{reason="slow_consumer"}';

/** A client that sends events at a steady rate and does not read what comes back. */
async function stalled(t, hub, perSecond) {
  const client = new RawClient(hub);
  t.after(() => client.end());
  await client.ready;
  client.ws.pause();
  client.since = performance.now();
  const text = "x".repeat(SIZE);
  const timer = setInterval(() => client.ws.readyState === 1 && client.emit("message", text), 1_000 / perSecond);
  t.after(() => clearInterval(timer));
  client.ws._socket.on("error", () => {});
  return client;
}

/** Cuts that the hub has counted. */
const cuts = async (hub) => (await hub.metrics()).get(CUT) ?? 0;

/** A stock client that asks all the while; `slowest` is the longest that it has waited. */
async function bystander(t, hub) {
  const socket = await connectClient(t, hub);
  const state = { slowest: 0, answers: 0, socket };
  const ask = async () => {
    const start = performance.now();
    await socket.timeout(5_000).emitWithAck("message-with-ack", state.answers);
    state.slowest = Math.max(state.slowest, performance.now() - start);
    state.answers += 1;
  };
  state.done = (async () => {
    while (!state.over) {
      await ask();
      await pause(5);
    }
  })();
  t.after(() => (state.over = true));
  return state;
}

test("stopped readers are cut at their budget, others do not notice", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const witness = await bystander(t, hub);
  const before = performance.now();
  // 2 MB a second each: the kernels' buffers and the budget of 1 MiB are full long before the clock would decide.
  await Promise.all(Array.from({ length: 5 }, () => stalled(t, hub, 100)));
  await until(async () => (await cuts(hub)) === 5, { within: 7_000, what: "five cuts" });
  assert.ok(performance.now() - before < 7_000);
  witness.over = true;
  await witness.done;
  assert.deepEqual(witness.socket.drops, []);
  assert.ok(witness.answers > 50 && witness.slowest < 1_000, `${witness.answers} answers, slowest ${witness.slowest}`);
});

test("a huge budget is not cut at, but standing still is", OPTIONS, async (t) => {
  const hub = await startHub(t, { ...ECHO, limits: { ...ECHO.limits, outbound_buffer: "1GiB" } });
  const one = await stalled(t, hub, 100);
  await pause(4_000); // in which the hub above has cut all of its readers
  assert.equal(await cuts(hub), 0);
  await until(async () => (await cuts(hub)) === 1, { within: 10_000, what: "the cut" });
  const after = performance.now() - one.since;
  assert.ok(after > 6_000 && after < 12_000, `cut after ${after} ms`);
});

test("a slow reader that goes on reading is kept", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const slow = await stalled(t, hub, 10); // 200 kB a second
  // Reads a little every two seconds, always less than there is, for longer than a stopped one is borne with.
  for (let turn = 0; turn < 7; turn += 1) {
    await pause(1_900);
    slow.ws.resume();
    await pause(100);
    slow.ws.pause();
  }
  assert.equal(slow.closed, undefined, "the link is open");
  assert.equal(await cuts(hub), 0);
  slow.ws.resume();
  const seen = slow.events;
  await until(() => slow.events > seen + 10, { what: "the rest" });
});

test("a hub without free files serves who is in, and recovers", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const { pid } = hub.program;
  const files = () => readdirSync(`/proc/${pid}/fd`).length;
  const cpu = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ").slice(11, 13).map(Number)
    .reduce((sum, ticks) => sum + ticks) * 10;
  const inside = await connectClient(t, hub);
  const dial = async (count) => {
    const sockets = Array.from({ length: count }, () => net.connect(hub.port, "127.0.0.1"));
    sockets.forEach((socket) => socket.on("error", () => {}));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    return sockets;
  };
  const crowd = 60;
  const gone = (sockets) => {
    sockets.forEach((socket) => socket.destroy());
    return until(() => files() < before + 10, { within: 10_000, what: "the crowd to be gone" });
  };
  const before = files();

  const harmless = await dial(crowd); // the control: with files to spare, one more gets in beside them
  await connectClient(t, hub);
  await gone(harmless);

  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${before + 10}:`]);
  const sockets = await dial(crowd); // the kernel takes them; the hub cannot
  await until(() => hub.program.lines.some((line) => line.includes("cannot accept connections")), {
    what: "the hub to say so",
  });
  const outside = openClient(t, hub, { reconnection: false, timeout: 1_500 });
  const spent = cpu();
  for (let turn = 0; turn < 20; turn += 1) {
    assert.equal(await inside.timeout(1_000).emitWithAck("message-with-ack", turn), turn);
    await pause(50);
  }
  assert.ok(cpu() - spent < 500, `${cpu() - spent} ms of CPU in a second of refusing`);
  assert.equal(outside.connected, false, "there is no file for one more");
  sockets.forEach((socket) => socket.destroy());
  await until(() => files() < before + 10, { within: 15_000, what: "the crowd to be gone" });
  const late = await connectClient(t, hub);
  assert.equal(await late.timeout(1_000).emitWithAck("message-with-ack", "back"), "back");
  assert.deepEqual(inside.drops, []);
});
