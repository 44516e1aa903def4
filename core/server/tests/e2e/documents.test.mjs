// Commands in documents: every block of shell in a README or in the book is run as it stands, beside a hub and a
// nats-server, or stands in one closed list with the reason why not. A block that is neither fails. Lines for front ends
// are run too, and settings are shown to the hub.
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
import { Program, run, tool } from "./harness/process.mjs";
import { until } from "./harness/wait.mjs";

const SHELL = path.join(path.dirname(fileURLToPath(import.meta.url)), "harness/shell");
const ADMIN_TOKEN = "e2e-admin-token-of-32-bytes-or-so";

const BUILDS = "builds for minutes what every run of the tests has built before";
const CHORE = "is a chore that holds all others, or waits for somebody who looks";
const DOCKER = "needs Docker; e2e-deploy looks at the files";
const KUBECTL = "needs Kubernetes; e2e-deploy looks at the files";
const PROJECT = "is of a project, which e2e-plugin-new makes, builds, checks and serves";
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
    "examples/plugin-c/README.md: make": PROJECT,
    "examples/plugin-rust/README.md: cargo test": PROJECT,
    "examples/publishers/node/README.md: npm install": INSTALLS,
    "examples/publishers/python/README.md: python3 -m venv venv": INSTALLS,
    "examples/publishers/rust/README.md: cargo build --release -p exedra-detection-engine": INSTALLS,
    "plugins/README.md: umask 022": PROJECT,
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
  const plugins = Object.fromEntries([...PLUGINS, "quick-poll"].map((name) => [`plugins.${name}`, { enabled: true }]));
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
  const shell = (text) => run("bash", ["-euo", "pipefail", "-c", places(text)], { cwd: work, env });
  return { shell, places, dir, token };
}

test("every block is run or has a reason", { timeout: 300_000 }, async (t) => {
  const { here, stale } = sorted(blocksOf(ROOT, "sh"), ELSEWHERE);
  assert.deepEqual(stale, []);
  assert.ok(here.length > 15, "most blocks of the book are run");
  const { shell } = await scene(t);
  const failed = [];
  for (const { name, line, text } of here) {
    const said = await shell(text);
    if (said.code !== 0) failed.push(`${name}:${line} ended with ${said.code}:\n${text}${said.stdout.slice(-600)}${said.stderr.slice(-1_200)}`);
    await shell("exedra plugin enable hangouts"); // a block may have turned it off
  }
  assert.equal(failed.length, 0, failed.join("\n\n"));
});

/** Lines for front ends: which of a document's, what they take for given, and what they print when they work. */
const GIVEN = 'const token = process.env.USER_TOKEN, meetingId = "8f3a";\n';
const FRONT_ENDS = [
  { name: "README.md", at: 0, given: GIVEN, works: ["true"] },
  { name: "examples/book/src/quick-start/front-end.md", at: 0, given: GIVEN, works: ["new", "true"] },
  {
    name: "examples/book/src/quick-start/front-end.md",
    at: 1,
    given: 'import { io } from "socket.io-client";\nimport WebSocket from "ws";\n',
    rest: 'lobby.on("connect", () => console.log("lobby"));\nlink.onopen = () => console.log("link");\n',
    works: ["lobby", "link"],
  },
  // One contract, one hub: the second to vote makes it two.
  { name: "examples/plugin-c/README.md", at: 0, given: "", works: ["{ votes: 1 }"] },
  { name: "examples/plugin-rust/README.md", at: 0, given: "", works: ["{ votes: 2 }"] },
];

test("lines for front ends work", { timeout: 60_000 }, async (t) => {
  const { places, dir, token } = await scene(t);
  symlinkSync(path.join(SHELL, "../../node_modules"), path.join(dir, "node_modules"));
  const blocks = blocksOf(ROOT, "js");
  for (const [number, { name, at, given, rest = "", works }] of FRONT_ENDS.entries()) {
    const block = blocks.filter((one) => one.name === name)[at];
    assert.ok(block, `${name} has lines`);
    const file = path.join(dir, `front-end-${number}.mjs`);
    writeFileSync(file, given + places(block.text) + rest);
    const program = new Program(process.execPath, [file], { env: { USER_TOKEN: token } });
    t.after(() => program.end());
    const working = () => works.every((word) => program.lines.includes(word));
    await until(() => working() || program.ended, { what: () => `${name}: ${works}\n${program.log()}` });
    assert.ok(working(), `${name}:${block.line}\n${program.log()}`);
  }
  const known = (one) => FRONT_ENDS.some(({ name }) => name === one.name) || one.name === "examples/publishers/README.md";
  assert.deepEqual(blocks.filter((one) => !known(one)).map(({ key }) => key), [], "all lines are run, here or in e2e-commands");
});

test("settings in documents are known", { timeout: 60_000 }, async (t) => {
  const { shell, dir } = await scene(t);
  // `greeter` is the reader's own plugin: all but its file is looked at.
  const errors = async (text) => {
    writeFileSync(path.join(dir, "block.toml"), text);
    const { stderr } = await shell(`exedra config show -c '${path.join(dir, "block.toml")}' || true`);
    return stderr.split("\n").filter((line) => line.startsWith("error: ") && !line.startsWith("error: plugins.greeter.library: there is no file"));
  };
  const settings = blocksOf(ROOT, "toml").filter(({ text }) => /^\[/m.test(text));
  assert.ok(settings.length >= 4, "there are settings");
  for (const { name, line, text } of settings) assert.deepEqual(await errors(text), [], `${name}:${line}`);
  const found = (await errors("[cluster]\nenabld = true\n[plugins.greeter]\nenabeld = true\n")).join("\n");
  for (const word of ["enabld", "enabeld"]) assert.match(found, new RegExp(word), "a misspelt setting is found");
});

test("other words for a shell are not used", () => {
  // A block that is called otherwise would not be looked at.
  for (const language of ["bash", "shell", "console", "zsh"]) assert.deepEqual(blocksOf(ROOT, language), [], language);
});

test("wrong blocks are found out", { timeout: 60_000 }, async (t) => {
  const blocks = [{ key: "a: x" }, { key: "a: new" }];
  assert.deepEqual(sorted(blocks, new Map([["a: x", "why"], ["a: gone", "why"]])), { here: [blocks[1]], stale: ["no block begins so: a: gone"] });
  const { shell } = await scene(t);
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
