// permessage-deflate with the stock WebSocket library and client, and compressed polls with a stock HTTP client: what
// arrives is bit for bit what was sent, and less travels exactly when compression was offered.
// Needs: Python.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import { test } from "node:test";

import { WebSocket } from "ws";

import { connectClient } from "./harness/client.mjs";
import { ECHO, ROOT, startHub } from "./harness/hub.mjs";
import { run, tool } from "./harness/process.mjs";
import { inTime } from "./harness/wait.mjs";

const OPTIONS = { timeout: 60_000 };
const SOCKETIO = "/socket.io/?EIO=4&transport=websocket";

/** Text that deflate likes, with characters of every length, and some noise that it does not like. */
const TEXT = Array.from({ length: 400 }, (_, i) => `zeile ${i} grüße 日本 🎈`).join("\n") + randomBytes(500).toString("hex");

/** A Socket.IO session of bare packets that counts what its socket reads. */
class Session {
  static async open(t, hub, options) {
    const session = new Session();
    session.packets = [];
    session.waiting = [];
    session.ws = new WebSocket(hub.url.replace("http", "ws") + SOCKETIO, options);
    t.after(() => session.ws.terminate());
    session.ws.on("upgrade", (response) => (session.socket = response.socket));
    session.ws.on("message", (data, binary) => session.#take(binary ? data : data.toString()));
    session.closed = once(session.ws, "close");
    session.closed.catch(() => {});
    await session.next(); // OPEN
    session.ws.send("40");
    await session.next(); // CONNECT
    await session.next(); // the echo's `auth`
    return session;
  }

  /** Sends a packet, gives the answer and the bytes that it took. */
  async ask(packet) {
    const before = this.socket.bytesRead;
    this.ws.send(packet);
    return { answer: await this.next(), bytes: this.socket.bytesRead - before };
  }

  next() {
    if (this.packets.length > 0) return Promise.resolve(this.packets.shift());
    return inTime(new Promise((resolve) => this.waiting.push(resolve)), 5_000, "a packet");
  }

  #take(packet) {
    const waiting = this.waiting.shift();
    if (waiting) waiting(packet);
    else this.packets.push(packet);
  }
}

const event = (text) => `42${JSON.stringify(["message", text])}`;
const answer = (text) => `42${JSON.stringify(["message-back", text])}`;

test("a large event travels compressed exactly when that was offered", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const size = Buffer.byteLength(answer(TEXT));
  const offering = await Session.open(t, hub, { perMessageDeflate: true });
  assert.match(offering.ws.extensions, /permessage-deflate/);
  const small = await offering.ask(event(TEXT));
  assert.equal(small.answer, answer(TEXT));
  assert.ok(small.bytes < size / 2, `${small.bytes} of ${size}`);
  const silent = await Session.open(t, hub, { perMessageDeflate: false });
  assert.equal(silent.ws.extensions, "");
  const large = await silent.ask(event(TEXT));
  assert.equal(large.answer, small.answer);
  assert.ok(large.bytes >= size);
  const below = await offering.ask(event("x".repeat(800)));
  assert.ok(below.bytes > 800, "what is below the threshold is not worth it");
});

test("every offer of the stock library is understood", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const offers = [
    {},
    { threshold: 0 },
    { threshold: 0, serverMaxWindowBits: 8 },
    { threshold: 0, serverMaxWindowBits: 9 },
    { threshold: 0, serverMaxWindowBits: 12, clientMaxWindowBits: 9 },
    { threshold: 0, clientMaxWindowBits: 10 },
    { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
  ];
  for (const offer of offers) {
    const session = await Session.open(t, hub, { perMessageDeflate: offer });
    assert.match(session.ws.extensions, /permessage-deflate/);
    for (const text of ["", "short", TEXT, TEXT.repeat(20), "the end"]) {
      assert.equal((await session.ask(event(text))).answer, answer(text), JSON.stringify(offer));
    }
    const file = Buffer.concat([Buffer.alloc(20_000, "abc"), randomBytes(3_000)]);
    session.ws.send('451-["message",{"_placeholder":true,"num":0}]');
    session.ws.send(file);
    assert.match(await session.next(), /^451-\["message-back"/);
    assert.deepEqual(await session.next(), file);
    session.ws.terminate();
  }
});

test("every offer of a Python library is understood", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const peer = path.join(ROOT, "core/server/tests/e2e/peers/deflate_offers.py");
  const { code, stdout, stderr } = await run(tool("PYTHON"), [peer, hub.url.replace("http", "ws") + SOCKETIO]);
  assert.equal(code, 0, stderr);
  const talks = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(talks.length, 100);
  for (const { offer, agreed, same } of talks) {
    assert.ok(same, JSON.stringify(offer));
    assert.match(agreed, /PerMessageDeflate/);
  }
});

test("compression can be switched off", OPTIONS, async (t) => {
  const hub = await startHub(t, { ...ECHO, socketio: { compression: false } });
  const session = await Session.open(t, hub, { perMessageDeflate: true });
  assert.equal(session.ws.extensions, "");
  const { bytes } = await session.ask(event(TEXT));
  assert.ok(bytes >= Buffer.byteLength(answer(TEXT)));
  const response = await polled(hub);
  assert.equal(response.headers.get("content-encoding"), null);
});

test("a bomb is refused and others stay served", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const bystander = await Session.open(t, hub, { perMessageDeflate: true });
  const session = await Session.open(t, hub, { perMessageDeflate: true });
  session.ws.send("4".repeat(10_000_000));
  const [code] = await inTime(session.closed, 5_000, "the link to be closed");
  assert.equal(code, 1009);
  assert.equal((await bystander.ask(event(TEXT))).answer, answer(TEXT));
});

test("the stock client may compress what it sends", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const client = await connectClient(t, hub, { perMessageDeflate: { threshold: 1 } });
  const file = Buffer.alloc(9_000, "z");
  const acked = new Promise((resolve) => client.emit("message-with-ack", TEXT, file, (...args) => resolve(args)));
  const answers = await inTime(acked, 5_000, "the ack");
  assert.ok(answers[0] === TEXT && file.equals(answers[1]), "the same comes back");
});

/** The poll that brings TEXT back. */
async function polled(hub) {
  const base = `${hub.url}/socket.io/?EIO=4&transport=polling`;
  const opened = await (await fetch(base)).text();
  const path = `${base}&sid=${JSON.parse(opened.slice(1)).sid}`;
  const post = async (body) => assert.equal(await (await fetch(path, { method: "POST", body })).text(), "ok");
  await post("40");
  let seen = "";
  while (!seen.includes('"auth"')) seen += await (await fetch(path)).text();
  await post(event(TEXT));
  const response = await fetch(path);
  assert.equal(await response.text(), answer(TEXT));
  return response;
}

test("large polls are compressed for clients that accept it", OPTIONS, async (t) => {
  const hub = await startHub(t, ECHO);
  const response = await polled(hub);
  assert.equal(response.headers.get("content-encoding"), "gzip");
  assert.match(response.headers.get("vary") ?? "", /accept-encoding/i);
});
