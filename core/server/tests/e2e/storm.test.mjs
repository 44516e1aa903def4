// Thousands of clients connect as fast as the machine allows, each with an event the moment it sees CONNECT: every
// event is answered, to the one who sent it, in order.
// Needs: Node.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ECHO, startHub } from "./harness/hub.mjs";
import { RawClient } from "./harness/raw.mjs";
import { inTime, until } from "./harness/wait.mjs";

const CLIENTS = 9_000;
const STORMS = process.env.EXEDRA_SOAK ? 20 : 1;
const EVENTS_EACH = 3;
/** Few enough clients on each source address that ports never run out. */
const PER_ADDRESS = 1_000;

test(`${CLIENTS} clients, first event at CONNECT`, { timeout: 1_200_000 }, async (t) => {
  const hub = await startHub(t, ECHO);
  for (let number = 1; number <= STORMS; number += 1) await storm(t, hub);
});

/** All connect, send, are answered, and go. */
async function storm(t, hub) {
  let answered = 0;
  const wrong = [];
  const begin = performance.now();
  const clients = Array.from({ length: CLIENTS }, (_, index) => {
    const client = new RawClient(hub, {
      local: `127.0.0.${2 + Math.floor(index / PER_ADDRESS)}`,
      onConnect: (self) => {
        for (let number = 0; number < EVENTS_EACH; number += 1) self.emit("message", index, number);
      },
      onEvent: (self, [event, who, number]) => {
        if (event !== "message-back") return; // the echo plugin greets with `auth`
        if (who !== index || number !== self.next) wrong.push([index, who, number, self.next]);
        self.next += 1;
        answered += 1;
      },
    });
    client.next = 0;
    return client;
  });
  t.after(() => clients.forEach((client) => client.end()));

  await inTime(Promise.all(clients.map((client) => client.ready)), 120_000, "all to connect");
  const connected = performance.now() - begin;
  await until(() => answered >= CLIENTS * EVENTS_EACH, {
    within: 60_000,
    what: () => `${CLIENTS * EVENTS_EACH} answers, got ${answered}`,
  });
  assert.deepEqual(wrong, [], "each answer went to its sender, in order");
  assert.equal(clients.filter((client) => client.next === EVENTS_EACH).length, CLIENTS);
  assert.equal(clients.filter((client) => client.closed !== undefined).length, 0, "no link was closed");
  assert.equal(answered, CLIENTS * EVENTS_EACH);
  assert.equal(await hub.total("exedra_connections"), CLIENTS);
  t.diagnostic(`${CLIENTS} connected in ${(connected / 1000).toFixed(2)} s, ${answered} events answered`);

  clients.forEach((client) => client.end());
  await until(async () => (await hub.total("exedra_connections")) === 0, {
    within: 15_000,
    what: "all connections to be gone",
  });
}
