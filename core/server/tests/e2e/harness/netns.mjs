// A nats-server in a network namespace of its own, reached over wires (pairs of virtual interfaces) that can lose everything
// silently, in both directions or in one: what a broken network does, and no closed connection tells. Needs root.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

import { Program, run, tool } from "./process.mjs";
import { until } from "./wait.mjs";

const PORT = 4222;
const MONITOR = 8222;

async function ip(...args) {
  const { code, stderr } = await run("ip", args);
  assert.equal(code, 0, `ip ${args.join(" ")}: ${stderr}`);
}

/** One wire to the server: `url` and `monitor` are where it is found over this wire. */
class Wire {
  constructor(space, name, address) {
    Object.assign(this, { space, inside: `${name}i`, outside: `${name}o`, address });
    this.url = `nats://${address(2)}:${PORT}`;
    this.monitor = `http://${address(2)}:${MONITOR}`;
  }

  async lay() {
    await ip("link", "add", this.outside, "type", "veth", "peer", "name", this.inside, "netns", this.space);
    await ip("addr", "add", `${this.address(1)}/30`, "dev", this.outside);
    await ip("link", "set", this.outside, "up");
    await ip("-n", this.space, "addr", "add", `${this.address(2)}/30`, "dev", this.inside);
    await ip("-n", this.space, "link", "set", this.inside, "up");
  }

  /** Loses what goes to the server, and with `both` also what comes from it. */
  async lose({ both = true } = {}) {
    const to = `chain to { type filter hook input priority 0; iifname "${this.inside}" drop; }`;
    const back = `chain back { type filter hook output priority 0; oifname "${this.inside}" drop; }`;
    await this.#rules(["table inet lost {", to, both ? back : "", "}", ""].join("\n"));
  }

  heal() {
    return this.#rules("delete table inet lost");
  }

  async #rules(text) {
    const { code, stderr } = await run("ip", ["netns", "exec", this.space, "nft", "-f", "-"], { input: text });
    assert.equal(code, 0, stderr);
  }
}

/** A nats-server with JetStream and wires to it. Its rules are its namespace's own: nothing of the machine's is touched. */
export async function startNatsApart(t, wires) {
  const space = `exedra-${process.pid}-${Math.floor(Math.random() * 1e6)}`;
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-nats-"));
  await ip("netns", "add", space);
  let program;
  const laid = [];
  t.after(async () => {
    await program?.end();
    // The kernel takes a namespace apart some time later, and its interfaces with it: the next may have their names at once.
    for (const wire of laid) await ip("link", "delete", wire.outside);
    await ip("netns", "delete", space);
    rmSync(dir, { recursive: true, force: true });
  });
  const [net, tag] = [1 + (process.pid % 250), (process.pid % 46_656).toString(36)];
  const all = Array.from({ length: wires }, (_, at) => new Wire(space, `x${tag}${at}`, (host) => `198.18.${net}.${4 * at + host}`));
  for (const wire of all) {
    await wire.lay();
    laid.push(wire);
  }
  const args = ["--addr", "0.0.0.0", "--port", String(PORT), "--http_port", String(MONITOR), "--jetstream", "--store_dir", dir];
  program = new Program("ip", ["netns", "exec", space, tool("NATS_SERVER"), ...args]);
  for (const { address } of all) {
    await until(() => program.assertAlive() ?? answers(address(2)), { within: 15_000, what: () => `the server:\n${program.log()}` });
  }
  return all;
}

const answers = (host) =>
  new Promise((resolve) => {
    const socket = connect({ host, port: PORT, timeout: 500 });
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
    socket.once("timeout", () => end(false));
  });
