// Injected work is done once in a cluster: three real nodes and a real nats-server, alerts into the audit trail of the
// deepfake plugin, and everything killed that can be.
//
// Each node has a store of its own here. An alert's id is its event's, so what a shared store would refuse as being
// there already is the same id in two stores: an effect is an id, and every event must have exactly one.
// Needs: Nats.

import assert from "node:assert/strict";
import { test } from "node:test";

import { headers as natsHeaders } from "nats";

import { connectClient, rest } from "./harness/client.mjs";
import { startCluster } from "./harness/cluster.mjs";
import { startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, pause, until } from "./harness/wait.mjs";

const SOAK = process.env.EXEDRA_SOAK === "1";
const ROUNDS = SOAK ? 20 : 1;
const ROOMS = Array.from({ length: 50 }, (_, number) => `room-${number}`);
const EACH = 40;
const STEADY = {
  "plugins.deepfake": { enabled: true },
  limits: { connections_per_ip: 10_000, connects_per_second: 100_000, events_per_second: 100_000 },
};

const subjectOf = (room, event = "deepfake-alert") => `exedra.in.deepfake.${room}.${event}`;
const alert = (message) => ({ participantId: "p", severity: "low", message: `${message}` });
const numbers = (count) => Array.from({ length: count }, (_, number) => `${number}`);

/** Somebody on a node who is in all these rooms and notes the alerts of each. */
async function witness(t, hub, rooms) {
  const socket = await connectClient(t, hub, { token: mint("ann") });
  socket.alerts = new Map(rooms.map((room) => [room, []]));
  socket.on("deepfake-alert", (given) => socket.alerts.get(given.meetingId).push(given));
  for (const meetingId of rooms) {
    const joined = await socket.emitWithAck("join-meeting", { meetingId });
    assert.equal(joined.success, true, JSON.stringify(joined));
  }
  return socket;
}

/** The alerts of a room in the trails of all nodes: what was said under which id, in order of the ids. */
async function effects(hubs, room) {
  const byId = new Map();
  for (const hub of hubs) {
    const list = await rest(hub, "GET", `/api/meetings/${room}/alerts?limit=500`, { token: mint("ann") });
    assert.equal(list.status, 200, list.text);
    for (const kept of list.json.alerts) byId.set(kept.id, kept.message);
  }
  return [...byId].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, message]) => message);
}

/** Every way in which the effects are not one each, in order. */
function objections(found, expected) {
  const list = [];
  for (const message of expected) {
    const count = found.filter((one) => one === message).length;
    if (count !== 1) list.push(`${message} took effect ${count} times`);
  }
  if (list.length === 0 && found.join() !== expected.join()) list.push(`out of order: ${found}`);
  return list;
}

const handled = (hub) => hub.total('exedra_events_received_total{plugin="deepfake",source="bus"}');

/** The node that takes the events: the one whose count rises when something is injected. */
async function taker(hubs, service) {
  const counts = () => Promise.all(hubs.map((hub) => handled(hub).catch(() => 0)));
  return until(
    async () => {
      const before = await counts();
      service.publish(subjectOf("probe"), alert("probe"));
      await pause(150);
      const after = await counts();
      return hubs[after.findIndex((count, at) => count > before[at])];
    },
    { within: 20_000, what: "a node to take injected events" },
  );
}

async function settled(hubs, rooms, each) {
  let missing;
  const complete = async () => {
    missing = [];
    for (const room of rooms) {
      const found = new Set(await effects(hubs, room));
      missing.push(...numbers(each).filter((message) => !found.has(message)).map((message) => `${room} ${message}`));
    }
    return missing.length === 0;
  };
  await until(complete, { within: 60_000, what: () => `every event to take effect; missing: ${missing.slice(0, 20)}` });
}

for (let round = 1; round <= ROUNDS; round += 1) {
  test(`2,000 events, the node that takes them killed twice (${round})`, { timeout: 240_000 }, async (t) => {
    const { nats, hubs } = await startCluster(t, STEADY);
    const service = await openService(t, nats);
    const killed = new Set();
    const witnesses = new Map();
    for (const hub of hubs) witnesses.set(hub, await witness(t, hub, ROOMS));
    await taker(hubs, service);

    const kill = async () => {
      const victim = await taker(hubs, service);
      killed.add(victim);
      await victim.kill();
      await victim.start("livez");
    };
    let killing = Promise.resolve();
    for (let n = 0; n < EACH; n += 1) {
      if (n === 10 || n === 25) killing = killing.then(kill);
      for (const room of ROOMS) service.publish(subjectOf(room), alert(n));
      await service.connection.flush();
      await pause(200);
    }
    await killing;
    assert.ok(killed.size >= 1);
    await settled(hubs, ROOMS, EACH);
    await pause(500);

    let repeats = 0;
    for (const room of ROOMS) {
      assert.deepEqual(objections(await effects(hubs, room), numbers(EACH)), [], room);
      for (const hub of hubs.filter((one) => !killed.has(one))) {
        const heard = witnesses.get(hub).alerts.get(room);
        const first = heard.filter((one, at) => heard.findIndex((other) => other.alertId === one.alertId) === at);
        repeats += heard.length - first.length;
        assert.deepEqual(first.map((one) => one.message), numbers(EACH), `${room}: each, in order`);
      }
    }
    t.diagnostic(`${killed.size} nodes killed; ${repeats} alerts were told once more, under the same id`);
  });
}

test("a node that stops hands over, and nothing is told twice", { timeout: 120_000 }, async (t) => {
  const { nats, hubs } = await startCluster(t, { ...STEADY, server: { drain: "200ms" } });
  const service = await openService(t, nats);
  const rooms = ROOMS.slice(0, 5);
  const first = await taker(hubs, service);
  const others = hubs.filter((hub) => hub !== first);
  const witnesses = [];
  for (const hub of others) witnesses.push(await witness(t, hub, rooms));
  let stopping;
  for (let n = 0; n < EACH; n += 1) {
    if (n === 10) stopping = first.kill("SIGTERM");
    for (const room of rooms) service.publish(subjectOf(room), alert(n));
    await pause(50);
  }
  assert.equal((await stopping).code, 0);
  for (const { alerts } of witnesses) {
    for (const room of rooms) {
      await until(() => alerts.get(room).length >= EACH, { within: 20_000, what: `all alerts of ${room}` });
      assert.deepEqual(alerts.get(room).map((one) => one.message), numbers(EACH));
    }
  }
});

test("requests are answered once, and publishers of JetStream take the answer", { timeout: 120_000 }, async (t) => {
  const { nats, hubs } = await startCluster(t, STEADY);
  const service = await openService(t, nats);
  await taker(hubs, service);
  const answers = [];
  service.connection.subscribe("answers.>", { callback: (_, message) => answers.push([message.subject, message.json()]) });
  for (let n = 0; n < 20; n += 1) {
    service.connection.publish(subjectOf("r"), JSON.stringify(alert("same")), { reply: `answers.${n}` });
  }
  await until(() => answers.length >= 20, { what: () => `20 answers; ${answers.length}` });
  await pause(500);
  assert.equal(new Set(answers.map(([address]) => address)).size, 20, "each once");
  assert.equal(answers.length, 20);
  for (const [, answer] of answers) assert.ok(answer.ok && answer.stream === "exedra_in_deepfake" && answer.seq > 0);
  assert.equal((await effects(hubs, "r")).length, 20, "equal words are not the same event");

  const jetstream = service.connection.jetstream();
  const publish = (msgID, room = "named") =>
    jetstream.publish(subjectOf(room), JSON.stringify(alert("named")), { msgID });
  const made = await publish("one");
  assert.deepEqual([made.stream, made.duplicate], ["exedra_in_deepfake", false]);
  const again = await publish("one");
  assert.deepEqual([again.seq, again.duplicate], [made.seq, true]);
  await assert.rejects(jetstream.publish(subjectOf("named"), "{}", { msgID: "bad" }));
  assert.deepEqual(await effects(hubs, "named"), ["named"]);
});

test("poison goes to the dead letters with its reason, and the others go on", { timeout: 120_000 }, async (t) => {
  const { nats, hubs } = await startCluster(t, STEADY);
  const service = await openService(t, nats, ["exedra.dlq.>"]);
  await taker(hubs, service);
  const poison = ["", "{", "[]", '{"severity":"low"}', "\u0000", "x".repeat(900_000)];
  for (const payload of poison) service.publish(subjectOf("r"), payload);
  service.publish(subjectOf("r", "no-such-event"), "{}");
  service.connection.publish("exedra.in.deepfake.a=2.deepfake-alert", "{}");
  const forged = natsHeaders();
  forged.set("Exedra-Delivery", "forged-1");
  service.connection.publish(subjectOf("r"), JSON.stringify(alert("good")), { headers: forged });
  const refused = await service.request(subjectOf("r"), "{");
  assert.equal(refused.error.code, "INVALID");
  await until(() => service.heard.length >= poison.length + 2, { what: () => `dead letters; ${service.heard.length}` });
  assert.ok(service.heard.every((letter) => letter.reason.length > 0));
  assert.deepEqual(await effects(hubs, "r"), ["good"]);
  const jsm = await service.connection.jetstreamManager();
  assert.equal((await jsm.streams.info("exedra_dlq")).state.messages, poison.length + 2, "and are kept");
  await until(async () => (await jsm.streams.info("exedra_in_deepfake")).state.messages === 0, { what: "an empty stream" });
});

for (let round = 1; round <= ROUNDS; round += 1) {
  test(`nats-server killed: nothing kept is lost, nothing sent again is done twice (${round})`, { timeout: 120_000 }, async (t) => {
    const { nats, hubs } = await startCluster(t, STEADY);
    const service = await openService(t, nats);
    await taker(hubs, service);
    const send = (n) => {
      const headers = natsHeaders();
      headers.set("Nats-Msg-Id", `event-${n}`);
      service.connection.publish(subjectOf("r"), JSON.stringify(alert(n)), { headers });
    };
    const last = async ({ connection }) =>
      (await (await connection.jetstreamManager()).streams.info("exedra_in_deepfake")).state.last_seq;
    const before = await last(service);
    for (let n = 0; n < 200; n += 1) send(n);
    await service.connection.flush();
    await nats.kill();
    await pause(1_000);
    await nats.start();
    await until(async () => (await fetch(`${hubs[0].admin}/readyz`)).ok, { within: 20_000, what: "readiness" });
    const late = await openService(t, nats);
    // A publisher that does not ask cannot know how many the server had kept before it died.
    const kept = (await last(late)) - before;
    await settled(hubs, ["r"], kept);
    t.diagnostic(`${kept} of 200 were kept`);
    // Whoever is in doubt sends again under the same name: the nodes know it, should the server have forgotten it.
    await until(() => !service.connection.isClosed() && service.connection.flush().then(() => true, () => false));
    for (let n = 0; n < 200; n += 1) send(n);
    await service.connection.flush();
    await settled(hubs, ["r"], 200);
    await pause(500);
    assert.deepEqual(objections(await effects(hubs, "r"), numbers(200)), []);
  });
}

test("control: where every node hears every event, the check objects", { timeout: 120_000 }, async (t) => {
  const nats = await startNats(t);
  const hubs = [];
  for (let at = 0; at < 3; at += 1) hubs.push(await startHub(t, { ...STEADY, nats: { url: nats.url } }));
  const service = await openService(t, nats);
  for (const message of numbers(10)) service.publish(subjectOf("r"), alert(message));
  await until(async () => (await effects(hubs, "r")).length >= 30, { what: "each node to handle each event" });
  assert.equal(objections(await effects(hubs, "r"), numbers(10)).length, 10);
  await inTime(Promise.all(hubs.map((hub) => hub.stop())), 20_000, "the hubs to stop");
});
