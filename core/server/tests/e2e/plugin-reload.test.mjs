// Another version of a plugin, and a changed configuration, while clients are busy: theirs goes on, and the others'
// clients see nothing.
// Needs: Cxx.

import assert from "node:assert/strict";
import { copyFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { connectClient, heard, openClient, rest } from "./harness/client.mjs";
import { exedra, Hub, ROOT } from "./harness/hub.mjs";
import { run, tool } from "./harness/process.mjs";
import { buildC, copyOf, scratch } from "./harness/project.mjs";
import { pause, until } from "./harness/wait.mjs";

const LONG = { timeout: 180_000 };
const TIMES = process.env.EXEDRA_SOAK ? 150 : 50;
/** Bytes that a hub may grow by over all reloads but the first few. */
const GROWTH = 24 * 1024 * 1024;
const LIBRARY = "libquick_poll.so";
const OPTIONS = { polls: ["lunch"], options: ["pizza", "salad"] };

/** The C example with some of its text replaced, built. */
async function variant(t, changes = []) {
  const folder = copyOf(t, path.join(ROOT, "examples/plugin-c"));
  const source = path.join(folder, "quick_poll.c");
  const text = changes.reduce((text, [from, to]) => {
    assert.ok(text.includes(from), from);
    return text.replaceAll(from, to);
  }, readFileSync(source, "utf8"));
  writeFileSync(source, text);
  await buildC(folder, path.join(ROOT, "core/abi/include"));
  return path.join(folder, LIBRARY);
}

const version = (number) => [["0.1.0", number]];

/** A hub with the poll in C and echo, whose libraries are in a folder that the test can change. */
async function scene(t, sections = {}) {
  const dir = scratch(t);
  const hub = new Hub();
  t.after(() => hub.stop());
  hub.base = { plugins: { dir }, limits: { events_per_second: 100_000, connects_per_second: 100_000 }, "plugins.quick-poll.settings": OPTIONS, "plugins.echo": { auth: "none" } };
  hub.with = (changes) => hub.configure({ ...hub.base, ...changes });
  hub.with(sections);
  copyFileSync(path.join(tool("EXEDRA_BIN_DIR"), "libecho.so"), path.join(dir, "libecho.so"));
  hub.deploy = (file, more = "") => {
    const staged = path.join(dir, "next");
    writeFileSync(staged, Buffer.concat([readFileSync(file), Buffer.from(more)]), { mode: 0o755 });
    renameSync(staged, path.join(dir, LIBRARY)); // moved into place, as the documentation says
  };
  hub.first = await variant(t);
  hub.deploy(hub.first);
  await hub.start();
  hub.ask = async (what, name = "quick-poll") => {
    const headers = { "x-exedra-intent": "test" };
    const answer = await fetch(`${hub.admin}/api/plugins/${name}/${what}`, { method: "POST", headers });
    return { status: answer.status, ...(await answer.json()) };
  };
  return hub;
}

/** Members of the poll; each asks again and again, and keeps what was not as it should be. */
async function crowd(t, hub, size = 4) {
  const busy = { on: true, answers: 0, wrong: [] };
  const sockets = await Promise.all(Array.from({ length: size }, () => connectClient(t, hub, { namespace: "/quick-poll" })));
  const talk = async (socket) => {
    while (busy.on) {
      const said = await socket.timeout(10_000).emitWithAck("join", { poll: "lunch" }).catch((error) => ({ error: error.message }));
      busy.answers++;
      if (!said.options) busy.wrong.push(said);
    }
  };
  const look = async () => {
    while (busy.on) {
      const { status, json } = await rest(hub, "GET", "/quick-poll/lunch");
      busy.answers++;
      if (status !== 200 || json.poll !== "lunch") busy.wrong.push({ status, json });
    }
  };
  const work = Promise.all([...sockets.map(talk), look()]);
  t.after(() => (busy.on = false));
  return { sockets, busy, rest: async () => ((busy.on = false), work) };
}

/** A client of another plugin, which counts its own messages. */
async function neighbour(t, hub) {
  const socket = await connectClient(t, hub);
  const state = { sent: 0, slowest: 0, on: true };
  const work = (async () => {
    while (state.on) {
      const began = performance.now();
      assert.deepEqual(await socket.timeout(10_000).emitWithAck("message-with-ack", state.sent), state.sent);
      state.sent++;
      state.slowest = Math.max(state.slowest, performance.now() - began);
    }
  })();
  t.after(() => (state.on = false));
  return { socket, state, rest: async () => ((state.on = false), work) };
}

const resident = (hub) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${hub.program.pid}/status`, "utf8"))[1]) * 1024;

test(`${TIMES} versions under traffic`, LONG, async (t) => {
  const hub = await scene(t);
  const builds = [await variant(t, version("0.2.0")), await variant(t, version("0.3.0"))];
  const [members, other] = [await crowd(t, hub), await neighbour(t, hub)];
  let settled;
  for (let number = 1; number <= TIMES; number++) {
    // What follows the last section changes the file and nothing that is loaded of it.
    hub.deploy(builds[number % 2], `build ${number}`);
    const said = await hub.ask("reload");
    assert.deepEqual([said.status, said.changed, said.generation, said.closed, said.retired], [200, true, number + 1, 0, true], JSON.stringify(said));
    assert.equal(said.version, ["0.2.0", "0.3.0"][number % 2]);
    if (number === 10) settled = resident(hub);
  }
  const grown = resident(hub) - settled;
  t.diagnostic(`${TIMES} reloads: ${members.busy.answers} answers, ${other.state.sent} of the neighbour's (slowest ${Math.round(other.state.slowest)} ms), ${Math.round(grown / 1024)} KiB grown`);
  assert.ok(grown < GROWTH, `grown by ${grown} bytes`);
  await Promise.all([members.rest(), other.rest()]);
  assert.deepEqual(members.busy.wrong, []);
  assert.ok(members.busy.answers > TIMES && other.state.sent > TIMES, "there was traffic");
  for (const socket of [...members.sockets, other.socket]) assert.deepEqual(socket.drops, []);

  // Who was in the room before the first reload is in it still.
  assert.equal((await rest(hub, "GET", "/quick-poll/lunch")).json.members, members.sockets.length);
  const [first, last] = [members.sockets[0], members.sockets.at(-1)];
  assert.deepEqual(await first.emitWithAck("vote", { option: "pizza" }), { votes: 1 });
  await heard(last, "poll", (poll) => poll.votes.pizza === 1);
  const metrics = await hub.metrics();
  assert.equal(metrics.get('exedra_plugin_generation{plugin="quick-poll"}'), TIMES + 1);
  assert.equal(metrics.get('exedra_quick_poll_votes_total{source="client"}'), 1);
  const up = [...metrics].filter(([key]) => key.startsWith('exedra_plugin_up{plugin="quick-poll"'));
  assert.deepEqual(up, [['exedra_plugin_up{plugin="quick-poll",version="0.2.0"}', 1]].map(([key, value]) => [TIMES % 2 ? key.replace("0.2.0", "0.3.0") : key, value]));
});

test("a bad file changes nothing, and says why", LONG, async (t) => {
  const hub = await scene(t);
  const members = await crowd(t, hub, 2);
  const good = hub.first;
  const bad = [
    [async () => path.join(ROOT, "README.md"), "is not an ELF shared library"],
    [() => variant(t, [['#define NAME "quick-poll"', '#define NAME "slow-poll"']]), "is called"],
    [() => variant(t, [[".abi_major = EXEDRA_ABI_MAJOR", ".abi_major = 9"]]), "is built for ABI 9"],
    [() => variant(t, [["if (!p) return EXEDRA_E_INTERNAL;\n  p->host", 'return exedra_refuse(out, EXEDRA_E_UNAVAILABLE, "{\\"message\\":\\"not today\\"}");\n  p->host']]), "not today"],
    [() => variant(t, [['\\"minItems\\":1', '\\"minItems\\":5']]), "settings"],
    [() => variant(t, [['\\"path\\":\\"/" NAME "\\"', '\\"path\\":\\"/\\"'], ['\\"name\\":\\"join\\"', '\\"name\\":\\"message\\"']]), "both declare"],
  ];
  for (const [make, reason] of bad) {
    hub.deploy(await make());
    const said = await hub.ask("reload");
    assert.equal(said.status, 409, reason);
    assert.ok(said.detail.includes(reason), said.detail);
    const told = await run(exedra(), ["plugin", "reload", "quick-poll", "-c", hub.config, "--admin", hub.admin.replace("http://", "")]);
    assert.equal(told.code, 1);
    assert.ok(told.stderr.startsWith("error: the plugin quick-poll cannot be reloaded: ") && told.stderr.includes(reason), told.stderr);
  }
  assert.equal((await hub.metrics()).get('exedra_plugin_generation{plugin="quick-poll"}'), 1);
  hub.deploy(good);
  assert.equal((await hub.ask("reload")).changed, false, "the same file is what runs already");
  hub.deploy(good, "again");
  const told = await run(exedra(), ["plugin", "reload", "quick-poll", "-c", hub.config, "--admin", hub.admin.replace("http://", "")]);
  assert.deepEqual([told.code, told.stdout], [0, "quick-poll is 0.1.0 now, generation 2; its connections stay\n"], told.stderr);
  assert.equal((await hub.ask("reload", "nobody")).status, 404);
  await members.rest();
  assert.deepEqual(members.busy.wrong, []);
  for (const socket of members.sockets) assert.deepEqual(socket.drops, []);
});

test("a version that serves more has its clients come again", LONG, async (t) => {
  const hub = await scene(t);
  const other = await neighbour(t, hub);
  const member = openClient(t, hub, { namespace: "/quick-poll", reconnection: true, reconnectionDelay: 10 });
  await until(() => member.connected, { what: "a connection" });
  assert.equal((await member.emitWithAck("again", {})).error.code, "NOT_FOUND");
  const more = await variant(t, [
    ['"{\\"name\\":\\"join\\"', '"{\\"name\\":\\"again\\"},{\\"name\\":\\"join\\"'],
    ["event->handler == 0 ? join", "event->handler <= 1 ? join"],
    ["{poll}\\\",\\\"auth", "{poll}/now\\\",\\\"auth"],
  ]);
  hub.deploy(more);
  const said = await hub.ask("reload");
  assert.deepEqual([said.status, said.generation, said.closed], [200, 2, 1], JSON.stringify(said));
  await until(() => member.drops.length > 0 && member.connected, { what: "the member to come again" });
  assert.ok((await member.emitWithAck("again", { poll: "lunch" })).options);
  assert.ok((await member.emitWithAck("join", { poll: "lunch" })).options);
  assert.equal((await rest(hub, "GET", "/quick-poll/lunch/now")).status, 200);
  assert.equal((await rest(hub, "GET", "/quick-poll/lunch")).status, 404);
  // Back to the version before: handlers stand elsewhere, which no client notices.
  hub.deploy(await variant(t));
  const back = await hub.ask("reload");
  assert.deepEqual([back.status, back.closed], [200, 0], JSON.stringify(back));
  assert.ok((await member.emitWithAck("join", { poll: "lunch" })).options);
  assert.equal((await member.emitWithAck("again", { poll: "lunch" })).error.code, "NOT_FOUND");
  await other.rest();
  assert.deepEqual(other.socket.drops, []);
});

test("a changed configuration", LONG, async (t) => {
  const hub = await scene(t, { "plugins.echo": { enabled: false } });
  const success = () => hub.total("exedra_config_last_reload_successful");
  const hup = () => process.kill(hub.program.pid, "SIGHUP");
  const members = await crowd(t, hub, 2);
  const member = members.sockets[0];
  const options = async () => (await member.emitWithAck("join", { poll: "lunch" })).options;

  // Settings: taken over while members stay.
  hub.with({ "plugins.echo": { enabled: false }, "plugins.quick-poll.settings": { ...OPTIONS, options: ["soup", "bread"] } });
  hup();
  await until(async () => (await options())[0] === "soup", { what: "the new settings" });
  assert.equal(await success(), 1);

  // One plugin more: it was not loaded at the start.
  hub.with({ "plugins.quick-poll.settings": { ...OPTIONS, options: ["soup", "bread"] } });
  hup();
  const echo = await until(
    async () => {
      const socket = openClient(t, hub);
      return new Promise((resolve) => {
        socket.once("connect", () => resolve(socket));
        socket.once("connect_error", () => resolve(pause(100)));
      });
    },
    { within: 10_000, what: "echo to be there" },
  );
  assert.equal(await echo.emitWithAck("message-with-ack", 7), 7);

  // What is wrong changes nothing: neither the part that is wrong nor the others.
  const wrong = [
    { "plugins.quick-poll.settings": { ...OPTIONS, colour: "red" } },
    { "plugins.quick-poll.settings": OPTIONS, "plugins.nosuch": { enabled: true } },
    { "plugins.quick-poll.settings": OPTIONS, log: { level: "loud" } },
  ];
  for (const sections of wrong) {
    hub.with(sections);
    hup();
    await until(async () => (await success()) === 0, { what: () => `a refusal of ${JSON.stringify(sections)}` });
    assert.equal((await options())[0], "soup");
    hub.with({ "plugins.quick-poll.settings": { ...OPTIONS, options: ["soup", "bread"] } });
    hup();
    await until(async () => (await success()) === 1, { what: "the configuration that was good" });
  }

  // Off again; the others stay.
  hub.with({ "plugins.echo": { enabled: false }, "plugins.quick-poll.settings": { ...OPTIONS, options: ["soup", "bread"] }, limits: { ...hub.base.limits, connections: 12_345 } });
  hup();
  await until(() => echo.drops.length > 0, { what: "echo's client to be sent away" });
  const ready = await (await fetch(`${hub.admin}/readyz`)).json();
  assert.deepEqual([ready.ready, ready.needs_restart], [true, ["limits.connections"]]);
  await members.rest();
  assert.deepEqual(members.busy.wrong, []);
  for (const socket of members.sockets) assert.deepEqual(socket.drops, []);
});
