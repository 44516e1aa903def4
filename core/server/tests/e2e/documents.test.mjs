// Commands in documents: every block of shell in a README or in the book is run as it stands, beside a hub and a
// nats-server, or stands in one closed list with the reason why not. A block that is neither fails.
// Needs: Nats, Python.

import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { rest } from "./harness/client.mjs";
import { blocksOf, filesOf } from "./harness/documents.mjs";
import { DEMO, mintByCli, ROOT, startHub } from "./harness/hub.mjs";
import { startNats } from "./harness/nats.mjs";
import { PLUGINS } from "./harness/traffic.mjs";
import { run, tool } from "./harness/process.mjs";

const SHELL = path.join(path.dirname(fileURLToPath(import.meta.url)), "harness/shell");
const ADMIN_TOKEN = "e2e-admin-token-of-32-bytes-or-so";

const BUILDS = "builds for minutes what every run of the tests has built before";
const CHORE = "is a chore that holds all others, or waits for somebody who looks";
const DOCKER = "needs Docker; e2e-deploy looks at the files";
const KUBECTL = "needs Kubernetes; e2e-deploy looks at the files";
const INSTALLS = "installs from registries and sends for half a minute; the programs are run by the plugins' own tests";

/** Blocks that are not run here, by document and first line, and why. */
const ELSEWHERE = new Map(
  Object.entries({
    "CONTRIBUTING.md: cargo xtask test": CHORE,
    "README.md: cargo xtask run": CHORE,
    "dashboards/README.md: prometheus --config.file=dashboards/prometheus.yml": "does not end; e2e-dashboards runs Prometheus with this file",
    'dashboards/README.md: docker run --network host -v "$PWD/dashboards/grafana:/etc/exedra/grafana:ro" \\': DOCKER,
    "examples/book/src/clusters.md: cargo xtask cluster": "waits for somebody who looks; e2e-cluster-demo runs it",
    "examples/book/src/quick-start/operator.md: cargo build --release --workspace": BUILDS,
    "examples/deploy/README.md: cargo build --release --locked -p exedra -p exedra-meetings": "needs root and systemd; e2e-deploy looks at the unit",
    "examples/deploy/README.md: cd examples/deploy/docker": DOCKER,
    "examples/deploy/README.md: cd examples/deploy/docker (2)": DOCKER,
    "examples/deploy/README.md: docker compose exec hub exedra token mint -c /etc/exedra/exedra.toml --sub ann": DOCKER,
    "examples/deploy/README.md: kubectl apply -f examples/deploy/kubernetes/namespace.yaml": KUBECTL,
    "examples/deploy/README.md: kubectl apply -f examples/deploy/kubernetes/namespace.yaml (2)": KUBECTL,
    "examples/deploy/README.md: kubectl apply -f examples/deploy/kubernetes/servicemonitor.yaml": KUBECTL,
    "examples/deploy/sizing.md: cargo build --release --workspace": BUILDS,
    "examples/deploy/sizing.md: target/release/exedra load idle -n 10000 --assert 'rss_per_connection<=4KiB'": "loads the machine for minutes; `cargo xtask bench` does",
    "examples/publishers/node/README.md: npm install": INSTALLS,
    "examples/publishers/python/README.md: python3 -m venv venv": INSTALLS,
    "examples/publishers/rust/README.md: cargo build --release -p exedra-detection-engine": INSTALLS,
    "plugins/README.md: cargo build --release -p exedra-greeter": "is for the plugin that the reader has written by then",
  }),
);

/** The blocks to run, and what is wrong with the list of the others. */
function sorted(blocks, elsewhere) {
  const keys = new Set(blocks.map(({ key }) => key));
  const stale = [...elsewhere.keys()].filter((key) => !keys.has(key)).map((key) => `no block begins so: ${key}`);
  return { here: blocks.filter(({ key }) => !elsewhere.has(key)), stale };
}

/** A hub with a bus, a copy of the repository's files to stand in, and a shell that finds the programs. */
async function scene(t) {
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-documents-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const nats = await startNats(t);
  const plugins = Object.fromEntries(PLUGINS.map((name) => [`plugins.${name}`, { enabled: true }]));
  const hub = await startHub(t, { ...plugins, auth: DEMO.auth, nats: { url: nats.url }, admin: { listen: "127.0.0.1:0", token: ADMIN_TOKEN } });
  const token = await mintByCli(hub, "ann", "Ann");
  const made = await rest(hub, "POST", "/meetings", { token, body: { meetingId: "8f3a", participantIds: ["ann"] } });
  assert.equal(made.status, 201, "the meeting that the documents speak of");

  const work = path.join(dir, "repository");
  const own = (name) => !/\/(node_modules|venv|vendor|book\/book)$/.test(name);
  for (const name of ["config", "dashboards", "examples", "plugins"]) cpSync(path.join(ROOT, name), path.join(work, name), { recursive: true, filter: own });
  for (const name of filesOf(ROOT, ".md").filter((one) => !one.includes("/"))) cpSync(path.join(ROOT, name), path.join(work, name));
  symlinkSync(path.join(ROOT, "core"), path.join(work, "core"));
  mkdirSync(path.join(work, "target"));
  symlinkSync(tool("EXEDRA_BIN_DIR"), path.join(work, "target/release"));
  const bin = path.join(dir, "bin");
  mkdirSync(bin);
  for (const name of ["exedra", "curl"]) symlinkSync(path.join(SHELL, name), path.join(bin, name));
  symlinkSync(path.join(SHELL, "nats.mjs"), path.join(bin, "nats"));
  const secret = path.join(dir, "secret");
  writeFileSync(secret, "a secret of the documents, long enough to be one");
  chmodSync(secret, 0o600);

  const admin = hub.admin.replace("http://", "");
  const env = {
    ...process.env,
    PATH: [bin, path.join(tool("PYTHONPATH"), "bin"), process.env.PATH].join(":"),
    NO_COLOR: "1",
    NATS_URL: nats.url,
    EXEDRA_ADMIN__LISTEN: admin,
    EXEDRA_ADMIN__TOKEN: ADMIN_TOKEN,
    SHELL_DIR: dir,
    SHELL_SECRET_FILE: secret,
    TOKEN: ADMIN_TOKEN,
    MEETING: "8f3a",
    BOOK: path.join(dir, "book"),
  };
  const places = (text) =>
    text.replaceAll("127.0.0.1:3000", hub.url.replace("http://", "")).replaceAll("127.0.0.1:9464", admin).replaceAll("nats://127.0.0.1:4222", nats.url);
  return (text) => run("bash", ["-euo", "pipefail", "-c", places(text)], { cwd: work, env });
}

test("every block is run or has a reason", { timeout: 300_000 }, async (t) => {
  const { here, stale } = sorted(blocksOf(ROOT, "sh"), ELSEWHERE);
  assert.deepEqual(stale, []);
  assert.ok(here.length > 15, "most blocks of the book are run");
  const shell = await scene(t);
  const failed = [];
  for (const { name, line, text } of here) {
    const said = await shell(text);
    if (said.code !== 0) failed.push(`${name}:${line} ended with ${said.code}:\n${text}${said.stdout.slice(-600)}${said.stderr.slice(-1_200)}`);
    await shell("exedra plugin enable hangouts"); // a block may have turned it off
  }
  assert.equal(failed.length, 0, failed.join("\n\n"));
});

test("other words for a shell are not used", () => {
  // A block that is called otherwise would not be looked at.
  for (const language of ["bash", "shell", "console", "zsh"]) assert.deepEqual(blocksOf(ROOT, language), [], language);
});

test("wrong blocks are found out", { timeout: 60_000 }, async (t) => {
  const blocks = [{ key: "a: x" }, { key: "a: new" }];
  assert.deepEqual(sorted(blocks, new Map([["a: x", "why"], ["a: gone", "why"]])), { here: [blocks[1]], stale: ["no block begins so: a: gone"] });
  const shell = await scene(t);
  for (const text of [
    "exedra config chek",
    "exedra config check -c config/none.toml\ntrue",
    "exedra config check -c config/production.toml --set server.lisen=x",
    "exedra serve --set no.such=1",
    "exedra tail 'exedra..bad'",
    "exedra doctor --no-such-option",
    "exedra plugin inspect target/release/libnone.so",
    "exedra publish meetings unknown phase '{\"phase\": \"voting\"}'",
    "nats request exedra.rpc.hangouts.get '{\"roomId\": 99}'",
    "nats shout exedra.in.x",
    "curl http://127.0.0.1:3000/none",
    "curl http://127.0.0.1:9464/api/connections",
    "curl -N http://127.0.0.1:9464/api/none",
    "mdbook build examples/none --dest-dir \"$BOOK\"",
    "no-such-program",
  ]) {
    assert.notEqual((await shell(text)).code, 0, text);
  }
});
