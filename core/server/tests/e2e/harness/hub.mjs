// The real release binary with a configuration and a store of its own, on ports the system chooses.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { ownsListener, Program, run, tool } from "./process.mjs";
import { SECRET } from "./tokens.mjs";
import { until } from "./wait.mjs";

const START = 15_000;

/** The repository's root, four folders up from this package's parent. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../../..");

export const exedra = () => path.join(tool("EXEDRA_BIN_DIR"), "exedra");

/** Sections by name, values as JSON: a JSON scalar or list is a TOML value too. */
function toml(sections) {
  return Object.entries(sections)
    .map(([name, keys]) => {
      const given = Object.entries(keys).filter(([, value]) => value !== undefined);
      const lines = given.map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
      return [`[${name}]`, ...lines, ""].join("\n");
    })
    .join("\n");
}

export class Hub {
  /** `sections` are laid over a configuration that has what every test needs. */
  constructor(sections = {}) {
    this.dir = mkdtempSync(path.join(tmpdir(), "exedra-e2e-"));
    this.config = path.join(this.dir, "exedra.toml");
    this.store = path.join(this.dir, "store.redb");
    this.configure(sections);
  }

  /** Writes the configuration; a value `undefined` takes a key of the base out. */
  configure(sections) {
    const base = {
      server: { listen: "127.0.0.1:0" },
      auth: { secret: SECRET },
      store: { kind: "redb", path: this.store },
      admin: { listen: "127.0.0.1:0" },
      log: { level: "info", format: "json" },
      plugins: { dir: tool("EXEDRA_BIN_DIR") },
    };
    const names = new Set([...Object.keys(base), ...Object.keys(sections)]);
    const merged = Object.fromEntries([...names].map((name) => [name, { ...base[name], ...sections[name] }]));
    writeFileSync(this.config, toml(merged));
  }

  /** Starts the hub and waits until it is ready (or only alive). Also used to start it again after a kill. */
  async start(state = "readyz") {
    const portsFile = path.join(this.dir, "ports.json");
    rmSync(portsFile, { force: true });
    this.program = new Program(exedra(), ["serve", "-c", this.config, "--ports-file", portsFile], { cwd: ROOT });
    const ports = await until(
      () => {
        this.program.assertAlive();
        return existsSync(portsFile) && complete(readFileSync(portsFile, "utf8"));
      },
      { within: START, what: () => `the hub to write its ports:\n${this.program.log()}` },
    );
    assert.equal(ports.pid, this.program.pid, "the ports are those of the process started here");
    this.url = `http://${ports.public}`;
    this.admin = `http://${ports.admin}`;
    this.port = Number(ports.public.split(":").pop());
    assert.ok(ownsListener(this.program.pid, this.port), "the process started here listens on the port");
    await until(async () => (await fetch(`${this.admin}/${state}`)).ok, { within: START, what: state });
    return this;
  }

  kill(signal = "SIGKILL") {
    return this.program.end(signal);
  }

  /** Ends the hub and removes its folder. */
  async stop() {
    await this.program?.end();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The samples of `/metrics` as a map from `name{labels}` to number. */
  async metrics() {
    const response = await fetch(`${this.admin}/metrics`);
    assert.equal(response.status, 200);
    const samples = (await response.text()).split("\n").filter((line) => line && !line.startsWith("#"));
    return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").pop())]));
  }

  /** The sum of all samples of one metric. */
  async total(name) {
    const samples = [...(await this.metrics())].filter(([key]) => key === name || key.startsWith(`${name}{`));
    assert.notEqual(samples.length, 0, `there is a metric ${name}`);
    return samples.reduce((sum, [, value]) => sum + value, 0);
  }
}

/** A hub that ends with the test. */
export async function startHub(t, sections, state) {
  const hub = new Hub(sections);
  t.after(() => hub.stop());
  return hub.start(state);
}

export const MEETINGS = { "plugins.meetings": { enabled: true } };

/** The hub with its demo pages; it gives out tokens only for the public development secret. */
export const DEMO = {
  ...MEETINGS,
  server: { examples: "examples/web" },
  auth: { secret: "exedra-development-secret-do-not-use-in-production" },
};

/** The hub as the conformance configuration has it: no token, every event comes back. */
export const ECHO = {
  "plugins.echo": { enabled: true, auth: "none" },
  limits: { connections: 20_000, connections_per_ip: 20_000, connects_per_second: 100_000, events_per_second: 100_000 },
};

/** A token from the command-line tool itself. */
export async function mintByCli(hub, user, name) {
  const minted = await run(exedra(), ["token", "mint", "-c", hub.config, "--sub", user, "--name", name]);
  assert.equal(minted.code, 0, minted.stderr);
  return minted.stdout.trim();
}

function complete(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // still being written
  }
}
