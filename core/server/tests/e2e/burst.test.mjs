// One client sends 5,000 events in one go: all come back, in order, over each transport.
// Needs: Node.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient } from "./harness/client.mjs";
import { ECHO, startHub } from "./harness/hub.mjs";
import { until } from "./harness/wait.mjs";

const EVENTS = 5_000;

async function burst(t, transports) {
  const hub = await startHub(t, ECHO);
  const socket = await connectClient(t, hub, { transports });
  const back = [];
  socket.on("message-back", (number) => back.push(number));
  for (let number = 0; number < EVENTS; number += 1) socket.emit("message", number);
  await until(() => back.length >= EVENTS || socket.drops.length > 0, {
    within: 30_000,
    what: () => `${EVENTS} answers, got ${back.length}`,
  });
  assert.deepEqual(socket.drops, [], "the link stays up");
  assert.equal(back.length, EVENTS);
  assert.deepEqual(back, Array.from({ length: EVENTS }, (_, number) => number));
  return hub;
}

test("WebSocket burst complete, in order", { timeout: 60_000 }, async (t) => {
  const hub = await burst(t, ["websocket"]);
  assert.equal(await hub.total("exedra_events_dropped_total"), 0);
});

test("polling burst complete, in order", { timeout: 60_000 }, async (t) => {
  await burst(t, ["polling"]);
});

test("burst through upgrade in order", { timeout: 60_000 }, async (t) => {
  await burst(t, ["polling", "websocket"]);
});

test("acknowledged burst in order", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, ECHO);
  const socket = await connectClient(t, hub);
  const order = [];
  const sent = Array.from({ length: EVENTS }, async (_, number) => {
    const answer = await socket.timeout(30_000).emitWithAck("message-with-ack", number);
    order.push(answer);
  });
  await Promise.all(sent);
  assert.equal(order.length, EVENTS);
  assert.deepEqual(order, Array.from({ length: EVENTS }, (_, number) => number));
});

test("binary burst whole, in order", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, ECHO);
  const socket = await connectClient(t, hub);
  const back = [];
  socket.on("message-back", (bytes) => back.push(bytes.readUInt32BE(0)));
  const count = 1_000;
  for (let number = 0; number < count; number += 1) {
    const bytes = Buffer.alloc(64, number & 255);
    bytes.writeUInt32BE(number);
    socket.emit("message", bytes);
  }
  await until(() => back.length >= count || socket.drops.length > 0, { within: 30_000, what: () => `${back.length}` });
  assert.deepEqual(back, Array.from({ length: count }, (_, number) => number));
});
