// `cargo xtask cluster` as a newcomer uses it: pages and clients through its balancer, a node is killed and its client goes
// on at another, and after Ctrl-C nothing is left.
// Needs: WebClient, Nats.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { connectClient, newMeeting, participants } from "./harness/client.mjs";
import { ROOT } from "./harness/hub.mjs";
import { Program, tool } from "./harness/process.mjs";
import { inTime, until } from "./harness/wait.mjs";

const QUICK = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };

/** The tool, and what it has printed: where everything is. */
async function startTool(t, ...options) {
  const args = ["xtask", "cluster", "--bin-dir", tool("EXEDRA_BIN_DIR"), ...options];
  const shown = new Program(process.env.CARGO ?? "cargo", args, { cwd: ROOT });
  // It ends its programs itself; killed, the kernel ends them.
  t.after(() => shown.end("SIGTERM"));
  const found = (pattern) => shown.lines.map((line) => pattern.exec(line)?.groups).filter(Boolean);
  await until(
    () => {
      shown.assertAlive();
      return shown.lines.some((line) => line.includes("Ctrl-C ends everything"));
    },
    { within: 120_000, what: () => `the cluster to be there:\n${shown.log()}` },
  );
  const [{ url }] = found(/demo pages\s+(?<url>\S+)\/\s/);
  const nodes = found(/^\s+(?<name>n\d)\s+(?<url>\S+)\/\s+console (?<admin>\S+)\/\s+pid (?<pid>\d+)\s+log (?<log>\S+)/);
  const [nats] = found(/nats-server\s+nats:\S+\s+monitoring (?<monitor>\S+)\/\s+pid (?<pid>\d+)/);
  return { shown, balancer: { url }, nodes, nats, folder: path.dirname(nodes[0].log) };
}

const users = async (node) => {
  const { rows } = await (await fetch(`${node.admin}/api/connections`)).json();
  return rows.map((row) => row.user);
};

/** The node that a user is connected to. */
async function nodeOf(nodes, user) {
  for (const node of nodes) if ((await users(node).catch(() => [])).includes(user)) return node;
  return undefined;
}

const isAlive = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

/** Processes whose command names the folder of a run. */
const leftovers = (folder) =>
  readdirSync("/proc").filter((pid) => /^\d+$/.test(pid)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
    } catch {
      return false; // ended in between
    }
  });

test("cluster is shown, broken and ended", { timeout: 300_000 }, async (t) => {
  const { shown, balancer, nodes, nats, folder } = await startTool(t);
  assert.deepEqual(nodes.map((node) => node.name), ["n1", "n2", "n3"]);
  assert.equal(leftovers(folder).length, 4, "three nodes and their server");
  const page = await fetch(`${balancer.url}/meetings/`);
  assert.match(await page.text(), /<script/);
  const { users: demo } = await (await fetch(`${balancer.url}/demo/tokens.json`)).json();
  const token = (user) => demo.find((one) => one.userId === user).token;
  assert.ok(shown.lines.some((line) => /^\s+ann\s+ey\S+$/.test(line)), "a token is printed");

  const meeting = await newMeeting(balancer, token("ann"), ["ann", "bob", "carol"]);
  const sockets = {};
  const ways = { ann: ["websocket"], bob: ["websocket"], carol: ["polling"] };
  for (const [user, transports] of Object.entries(ways)) {
    sockets[user] = await connectClient(t, balancer, { token: token(user), transports, ...QUICK });
    assert.equal((await sockets[user].emitWithAck("join_meeting", { meetingId: meeting })).success, true, user);
  }
  const { ann, bob, carol } = sockets;
  const all = () => [ann, bob, carol].every((socket) => participants(socket)?.join() === "ann,bob,carol");
  await until(all, { within: 10_000, what: "everybody to see everybody" });

  // Each WebSocket at another node; the polling client found its session again with each request.
  const [home, other] = [await nodeOf(nodes, "ann"), await nodeOf(nodes, "bob")];
  assert.notEqual(home.name, other.name);
  const id = ann.id;
  process.kill(Number(home.pid), "SIGKILL");
  await until(() => ann.drops.length > 0, { what: "ann to lose her node" });
  await until(() => ann.connected && ann.recovered, { within: 15_000, what: "ann to go on" });
  assert.equal(ann.id, id, "as the same socket");
  assert.notEqual((await nodeOf(nodes, "ann")).name, home.name);
  await until(() => participants(bob)?.includes("ann"), { within: 10_000, what: "ann to be back for bob" });
  assert.deepEqual(bob.drops, [], "he did not notice");
  const told = () => shown.lines.findIndex((line) => line.startsWith(`${home.name} has ended`));
  await until(() => told() >= 0, { what: () => `the end to be told:\n${shown.log()}` });
  const again = shown.lines[told() + 1];
  assert.ok(again.includes(`cluster.node=${home.name}`) && again.includes(home.url.replace("http://", "")), again);

  // Started again as it says, the node is one of three.
  const back = new Program("sh", ["-c", again.replace(/; /, "; exec ")]);
  t.after(() => back.end());
  const known = async () => (await (await fetch(`${home.admin}/api/health`)).json()).cluster.nodes.length;
  await until(() => known().then((count) => count === 2, () => false), { within: 30_000, what: "the node to be back" });
  await back.end("SIGTERM");

  shown.child.kill("SIGINT");
  const { code } = await inTime(shown.exited, 60_000, "the end");
  assert.equal(code, 0, shown.log());
  assert.deepEqual([...nodes, nats].map((one) => isAlive(one.pid)), [false, false, false, false]);
  assert.deepEqual(leftovers(folder), []);
  assert.equal(existsSync(folder), false, "nor a file");
  await assert.rejects(fetch(balancer.url));
});

test("cluster goes with its tool", { timeout: 300_000 }, async (t) => {
  const { shown, nodes, nats, folder } = await startTool(t, "--nodes", "2");
  assert.equal(nodes.length, 2);
  t.after(() => rmSync(folder, { recursive: true, force: true })); // nobody was left to do it
  await shown.end("SIGKILL");
  const gone = () => [...nodes, nats].every((one) => !isAlive(one.pid));
  await until(gone, { within: 45_000, what: () => `all to end: ${leftovers(folder)}` });
});
