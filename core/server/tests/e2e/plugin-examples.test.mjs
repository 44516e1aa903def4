// The example plugins, one in Rust and one in C: one story for both, told by stock clients, REST and a service on NATS.
// Needs: Nats, Cxx.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";

import { connectClient, heard, rest } from "./harness/client.mjs";
import { ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { run, tool } from "./harness/process.mjs";
import { buildC, copyOf } from "./harness/project.mjs";
import { mint } from "./harness/tokens.mjs";

const MINUTE = { timeout: 60_000 };
const POLL = { "plugins.quick-poll.settings": { polls: ["lunch", "later"], options: ["pizza", "salad"] } };

/** The folder of the built library. */
const BUILT = {
  rust: async () => tool("EXEDRA_BIN_DIR"),
  c: async (t) => {
    const folder = copyOf(t, path.join(ROOT, "examples/plugin-c"));
    await buildC(folder, path.join(ROOT, "core/abi/include"));
    return folder;
  },
};

for (const [language, built] of Object.entries(BUILT)) {
  test(`a poll in ${language}`, MINUTE, async (t) => {
    const nats = await startNats(t);
    const service = await openService(t, nats, ["exedra.out.>", "exedra.dlq.>"]);
    const hub = await startHub(t, { ...POLL, nats: { url: nats.url }, plugins: { dir: await built(t) } });
    const member = (options) => connectClient(t, hub, { namespace: "/quick-poll", ...options });
    const stands = (socket, votes, members) =>
      heard(socket, "poll", (poll) => JSON.stringify([poll.votes, poll.members]) === JSON.stringify([votes, members]));

    // Two come, one of them with an account and over polling; both see both.
    const ann = await member({ token: mint("ann") });
    const bob = await member({ transports: ["polling"] });
    assert.equal((await bob.emitWithAck("vote", { option: "pizza" })).error.code, "CONFLICT", "nobody votes from outside");
    for (const socket of [ann, bob]) {
      assert.deepEqual(await socket.emitWithAck("join", { poll: "lunch" }), { options: ["pizza", "salad"] });
    }
    for (const socket of [ann, bob]) {
      const poll = await stands(socket, { pizza: 0, salad: 0 }, 2);
      assert.equal(poll.poll, "lunch");
    }

    // What does not fit is refused, and changes nothing.
    const refusals = [
      ["join", { poll: "dinner" }, "NOT_FOUND", "there is no such poll"],
      ["join", { poll: "later" }, "CONFLICT", "you are in another poll"],
      ["vote", { option: "soup" }, "INVALID", "this cannot be voted for"],
      ["vote", { option: 7 }, "INVALID"],
      ["vote", undefined, "INVALID"],
      ["shout", {}, "NOT_FOUND"],
    ];
    for (const [event, payload, code, message] of refusals) {
      const { error } = await ann.emitWithAck(event, ...(payload === undefined ? [] : [payload]));
      assert.equal(error?.code, code, `${event} ${JSON.stringify(payload)}`);
      if (message) assert.equal(error.message, message);
    }

    // A vote is acknowledged, seen by all, told to services, and taken once.
    assert.deepEqual(await ann.emitWithAck("vote", { option: "pizza" }), { votes: 1 });
    for (const socket of [ann, bob]) await stands(socket, { pizza: 1, salad: 0 }, 2);
    const told = await service.message("exedra.out.quick-poll.lunch.voted");
    assert.deepEqual(JSON.parse(told.text), { option: "pizza", votes: 1 });
    const again = (await ann.emitWithAck("vote", { option: "salad" })).error;
    assert.deepEqual([again.code, again.message], ["VOTED", "you have voted"]);

    // Services vote too; what they get wrong comes back with the reason.
    assert.deepEqual(await service.request("exedra.in.quick-poll.lunch.vote", { option: "salad" }), { ok: true });
    await stands(bob, { pizza: 1, salad: 1 }, 2);
    const wrong = await service.request("exedra.in.quick-poll.dinner.vote", { option: "salad" });
    assert.equal(wrong.error.code, "NOT_FOUND");
    await service.message("exedra.dlq.quick-poll", (letter) => letter.reason === "there is no such poll");
    assert.equal((await service.request("exedra.in.quick-poll.lunch.vote", "[")).error.code, "INVALID");

    // Many at once: each vote counts.
    const crowd = await Promise.all(Array.from({ length: 20 }, () => member()));
    await Promise.all(crowd.map((socket) => socket.emitWithAck("join", { poll: "lunch" })));
    const counted = await Promise.all(crowd.map((socket) => socket.emitWithAck("vote", { option: "salad" })));
    assert.deepEqual(counted.map((said) => said.votes).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 2));
    await stands(bob, { pizza: 1, salad: 21 }, 22);
    for (const socket of crowd) socket.disconnect();
    await stands(bob, { pizza: 1, salad: 21 }, 2);

    const shown = await rest(hub, "GET", "/quick-poll/lunch");
    assert.deepEqual([shown.status, shown.json], [200, { poll: "lunch", votes: { pizza: 1, salad: 21 }, members: 2 }]);
    assert.equal(shown.type, "application/json");
    assert.equal((await rest(hub, "GET", "/quick-poll/dinner")).status, 404);
    assert.equal((await rest(hub, "GET", "/quick-poll/%22")).status, 404);
    const metrics = await hub.metrics();
    assert.equal(metrics.get('exedra_quick_poll_votes_total{source="client"}'), 21);
    assert.equal(metrics.get('exedra_quick_poll_votes_total{source="service"}'), 1);
    assert.equal(metrics.get('exedra_plugin_panics_total{plugin="quick-poll"}'), 0);

    // The votes outlive the hub.
    await hub.kill("SIGKILL");
    await hub.start();
    assert.deepEqual((await rest(hub, "GET", "/quick-poll/lunch")).json.votes, { pizza: 1, salad: 21 });
  });
}

test("the C example's own tests", MINUTE, async (t) => {
  const folder = copyOf(t, path.join(ROOT, "examples/plugin-c"));
  const include = `INCLUDE=${path.join(ROOT, "core/abi/include")}`;
  const made = await run("make", ["test-quick_poll", include], { cwd: folder });
  assert.equal(made.code, 0, made.stderr);
  const tested = await run(path.join(folder, "test-quick_poll"), []);
  assert.deepEqual([tested.code, tested.stdout], [0, "the plugin does what it should\n"], tested.stderr);
});
