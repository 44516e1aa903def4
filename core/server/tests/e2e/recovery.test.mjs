// Connection State Recovery with the stock client: links that break while a room is talking, over WebSocket, over
// polling and through an upgrade. Nothing missed, nothing twice; and where that cannot be, the client is told.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, newMeeting, openClient, participants } from "./harness/client.mjs";
import { MEETINGS, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { Proxy } from "./harness/proxy.mjs";
import { mint } from "./harness/tokens.mjs";
import { pause, until } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const TRANSPORTS = { websocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] };
const QUICK = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 60 };

/** A hub with recovery, somebody who talks through NATS, and Ann behind a proxy in a meeting. */
async function scene(t, { recovery = { window: "1m" }, transports = ["websocket"] } = {}) {
  const nats = await startNats(t);
  const kept = recovery ? { "socketio.recovery": recovery } : {};
  const hub = await startHub(t, { ...MEETINGS, nats: { url: nats.url }, ...kept });
  const service = await openService(t, nats, []);
  const meeting = await newMeeting(hub, mint("dora"), ["ann", "bob"]);
  const proxy = await Proxy.start(t, hub.url);
  const ann = await connectClient(t, proxy, { token: mint("ann"), transports, ...QUICK });
  assert.equal((await ann.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  let said = 0;
  const say = (count) => {
    for (const end = said + count; said < end; said += 1) {
      service.publish(`exedra.in.meetings.${meeting}.phase`, { phase: `${said}`, status: "active" });
    }
  };
  return { hub, meeting, proxy, ann, say, said: () => said };
}

const phases = (socket) =>
  socket.heard.filter((one) => one.event === "phaseChanged").map((one) => Number(one.args[0].phase));
const upTo = (count) => Array.from({ length: count }, (_, number) => number);
const heardAll = (socket, count) =>
  until(() => phases(socket).at(-1) === count - 1, { within: 15_000, what: () => `${count}: ${phases(socket).slice(-5)}` });

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  test(`missed events come once, ${name}`, { timeout: 60_000 }, async (t) => {
    const { hub, meeting, proxy, ann, say, said } = await scene(t, { transports });
    const id = ann.id;
    say(10);
    await heardAll(ann, 10);
    proxy.closed = true;
    proxy.cut();
    await until(() => ann.disconnected);
    await until(async () => (await hub.total("exedra_recoverable_sessions")) === 1, { what: "a session that waits" });
    say(50);
    await pause(300);
    assert.equal(phases(ann).length, 10, "the link is really broken");
    proxy.closed = false;
    await until(() => ann.connected, { within: 10_000 });
    assert.equal(ann.recovered, true);
    assert.equal(ann.id, id);
    say(10);
    await heardAll(ann, said());
    assert.deepEqual(phases(ann), upTo(said()));
    await until(() => participants(ann)?.includes("ann"), { what: "Ann among the participants again" });
    const left = await ann.emitWithAck("leave_meeting", { meetingId: meeting });
    assert.equal(left.success, true, "the room is still hers");
    assert.equal(await hub.total("exedra_recoveries_total"), 1);
  });

  test(`broken again and again, ${name}`, { timeout: 300_000 }, async (t) => {
    const { hub, proxy, ann, say, said } = await scene(t, { transports });
    const rounds = SOAK ? 60 : 8;
    let talking = true;
    const talk = (async () => {
      while (talking) {
        say(2);
        await pause(3);
      }
    })();
    for (let round = 0; round < rounds; round += 1) {
      const unnoticed = round % 2 === 1;
      await pause(20 + 17 * (round % 7));
      const drops = ann.drops.length;
      const cut = () => (unnoticed ? proxy.cutUnnoticed() : proxy.cut());
      // Between two polls there is nothing to cut: again, until it hits. A stock client whose WebSocket is cut just as it
      // pauses polling to move there (engine.io-client, `_probe`) does neither from then on, until its pings are overdue.
      await until(() => (cut(), ann.drops.length > drops), { within: 60_000, what: "the link to break" });
      await until(() => ann.connected, { within: 10_000 });
      assert.equal(ann.recovered, true, `round ${round}`);
    }
    talking = false;
    await talk;
    await heardAll(ann, said());
    assert.deepEqual(phases(ann), upTo(said()));
    assert.ok((await hub.total("exedra_recoveries_total")) >= rounds);
    console.log(`${name}: ${rounds} breaks, ${said()} events, each once and in order`);
  });
}

test("gap is never hidden", { timeout: 60_000 }, async (t) => {
  const { hub, proxy, ann, say } = await scene(t, { recovery: { window: "1m", max_events: 5 } });
  const id = ann.id;
  proxy.closed = true;
  proxy.cut();
  await until(async () => (await hub.total("exedra_recoverable_sessions")) === 1);
  say(6);
  await pause(200);
  proxy.closed = false;
  await until(() => ann.connected, { within: 10_000 });
  assert.ok(!ann.recovered);
  assert.notEqual(ann.id, id);
  assert.deepEqual(phases(ann), [], "no part of what was missed");
  assert.equal((await hub.metrics()).get('exedra_recoveries_total{outcome="gap"}'), 1);
});

test("window passes", { timeout: 60_000 }, async (t) => {
  const { hub, proxy, ann } = await scene(t, { recovery: { window: "300ms" } });
  proxy.closed = true;
  proxy.cut();
  await until(async () => (await hub.total("exedra_recoverable_sessions")) === 1);
  await until(async () => (await hub.total("exedra_recoverable_sessions")) === 0);
  proxy.closed = false;
  await until(() => ann.connected, { within: 10_000 });
  assert.ok(!ann.recovered);
});

test("goodbye is for good", { timeout: 60_000 }, async (t) => {
  const { hub, ann } = await scene(t);
  ann.disconnect();
  await until(async () => (await hub.total("exedra_connections")) === 0);
  assert.equal(await hub.total("exedra_recoverable_sessions"), 0);
  ann.connect();
  await until(() => ann.connected);
  assert.ok(!ann.recovered);
});

test("nobody takes another's session", { timeout: 60_000 }, async (t) => {
  const { hub, ann } = await scene(t);
  let ticket;
  const spy = openClient(t, hub, { token: mint("ann") });
  spy.io.on("packet", (packet) => {
    if (packet.type === 0 && packet.data?.pid) ticket = packet.data.pid;
  });
  await until(() => ticket && spy.connected);
  spy.io.engine.transport.ws.terminate();
  await until(async () => (await hub.total("exedra_recoverable_sessions")) === 1);
  const thief = openClient(t, hub, { auth: { token: mint("bob"), pid: ticket } });
  await until(() => thief.connected);
  assert.notEqual(thief.id, spy.id);
  assert.equal((await hub.metrics()).get('exedra_recoveries_total{outcome="foreign"}'), 1);
  assert.equal(ann.connected, true);
});

test("off unless asked for", { timeout: 60_000 }, async (t) => {
  const { proxy, ann, say } = await scene(t, { recovery: false });
  say(1);
  await heardAll(ann, 1);
  assert.equal(ann.heard.find((one) => one.event === "phaseChanged").args.length, 1, "no offset");
  proxy.cut();
  await until(() => ann.disconnected);
  await until(() => ann.connected, { within: 10_000 });
  assert.ok(!ann.recovered);
});
