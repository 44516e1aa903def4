// Thousands of clients are told to come back: spread over the drain, each with a time of its own, and the hub ends with
// 0 in time whether or not they read. Stock clients come back by themselves.
// Needs: Node.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";

import { openClient } from "./harness/client.mjs";
import { ECHO, startHub } from "./harness/hub.mjs";
import { RawClient } from "./harness/raw.mjs";
import { inTime, until } from "./harness/wait.mjs";

const LONG = Boolean(process.env.EXEDRA_SOAK);
const CLIENTS = LONG ? 10_000 : 500;
/** `server.drain`; the long form has the default. */
const DRAIN = LONG ? 10_000 : 3_000;
/** The hub is gone by then, whatever the clients do. */
const GONE = LONG ? 15_000 : 8_000;
const SLICES = 5;
const PER_ADDRESS = 1_000;
/** Clients are let in at most so many at a time, so that this process can keep up. */
const AT_ONCE = 500;
const HINT = /^shutting_down; retry=(\d+)ms$/;

const limits = { ...ECHO, server: { drain: `${DRAIN}ms` } };

test(`${CLIENTS} clients sent away over the drain`, { timeout: 300_000 }, async (t) => {
  const hub = await startHub(t, limits);
  const stock = ["websocket", "polling"].map((transport) =>
    openClient(t, hub, { transports: [transport], reconnection: true }),
  );
  await until(() => stock.every((client) => client.connected), { what: "both stock clients to connect" });
  const ends = [];
  const clients = await crowd(t, hub, (code, reason) => ends.push({ code, reason, at: performance.now() }));
  const deaf = await deafClient(t, hub);
  assert.equal(await hub.total("exedra_connections"), CLIENTS + stock.length + 1);

  const begin = performance.now();
  const exited = hub.kill("SIGTERM");
  await until(() => ends.length > 0, { what: "the first to be sent away" });
  await newcomersRefused(hub);
  const { code, signal } = await inTime(exited, GONE, `the hub to end:\n${hub.program.log()}`);
  const gone = performance.now() - begin;
  assert.deepEqual([code, signal], [0, null]);
  await until(() => ends.length === clients.length, { what: () => `all to be closed, ${ends.length} are` });

  const hints = ends.map(({ code, reason }) => {
    assert.equal(code, 1012);
    assert.match(reason, HINT);
    return Number(HINT.exec(reason)[1]);
  });
  assert.ok(new Set(hints).size > CLIENTS / 10, "each is told a time of its own");
  assert.ok(Math.min(...hints) >= 500 && Math.max(...hints) <= 3_000);
  const slices = Array(SLICES).fill(0);
  for (const { at } of ends) slices[Math.min(SLICES - 1, Math.floor(((at - begin) / DRAIN) * SLICES))] += 1;
  const fair = CLIENTS / SLICES;
  assert.ok(slices.every((count) => count > fair / 2 && count < fair * 1.5), `spread evenly: ${slices}`);
  const last = Math.max(...ends.map(({ at }) => at)) - begin;
  const seconds = (milliseconds) => (milliseconds / 1000).toFixed(2);
  t.diagnostic(`${CLIENTS} links: closed in fifths of ${slices}, the last after ${seconds(last)} s`);
  t.diagnostic(`exit 0 after ${seconds(gone)} s, one client deaf with ${deaf.waiting} bytes waiting for it`);

  hub.configure({ ...limits, server: { ...limits.server, listen: `127.0.0.1:${hub.port}` } });
  await hub.start();
  await until(() => stock.every((client) => client.connected), {
    within: 20_000,
    what: "the stock clients to come back",
  });
  for (const client of stock) assert.deepEqual(client.drops, ["transport close"]);
});

/** Lets all in; `onEnd` hears how each was closed. */
async function crowd(t, hub, onEnd) {
  const clients = [];
  t.after(() => clients.forEach((client) => client.end()));
  while (clients.length < CLIENTS) {
    const more = Array.from({ length: Math.min(AT_ONCE, CLIENTS - clients.length) }, (_, index) => {
      const local = `127.0.0.${2 + Math.floor((clients.length + index) / PER_ADDRESS)}`;
      const client = new RawClient(hub, { local });
      client.ws.on("close", (code, reason) => onEnd(code, reason.toString()));
      return client;
    });
    clients.push(...more);
    await inTime(Promise.all(more.map((client) => client.ready)), 60_000, "some to connect");
  }
  return clients;
}

/** A client that asks for more than fits and reads nothing of it: the hub holds what waits for it. */
async function deafClient(t, hub) {
  const socket = net.connect(hub.port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {}); // it is thrown out in the end
  await once(socket, "connect");
  const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
  socket.write(
    `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`,
  );
  const [answer] = await once(socket, "data");
  assert.match(answer.toString(), /^HTTP\/1.1 101/);
  socket.pause();
  socket.write(masked("40"));
  const question = masked(`42["message","${"x".repeat(60_000)}"]`);
  let waiting = 0;
  await until(
    async () => {
      socket.write(question);
      waiting = await hub.total("exedra_outbound_queue_bytes");
      return waiting > 0;
    },
    { within: 30_000, what: "more to wait than the socket takes" },
  );
  return { socket, waiting };
}

/** A text frame of a client, under a mask of zeros. */
function masked(text) {
  const payload = Buffer.from(text);
  const long = payload.length > 125;
  const head = long ? [0x81, 0xfe, payload.length >> 8, payload.length & 255] : [0x81, 0x80 | payload.length];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

/** Who comes while the hub drains is told to come later. */
async function newcomersRefused(hub) {
  for (const path of ["/", "/socket.io/?EIO=4&transport=polling", "/no/such"]) {
    const answer = await fetch(hub.url + path, { headers: { connection: "close" } });
    assert.equal(answer.status, 503, path);
    assert.match(answer.headers.get("retry-after"), /^[123]$/);
    await answer.arrayBuffer();
  }
  const late = new RawClient(hub);
  await assert.rejects(late.ready, /503/);
}
