// The command line beside a running hub: publish, tail, doctor, completions and manual pages; and the lines that a README
// gives back ends to copy.
// Needs: Nats, Python.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { openClient, heard } from "./harness/client.mjs";
import { exedra, Hub, ROOT, startHub } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { freePort, Program, run, tool } from "./harness/process.mjs";
import { until } from "./harness/wait.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOMS = { "plugins.public-rooms": { enabled: true }, "plugins.deepfake": { enabled: true } };

/** A hub with its nats-server, and the command line with the hub's configuration. */
async function scene(t) {
  const nats = await startNats(t);
  const hub = await startHub(t, { ...ROOMS, nats: { url: nats.url } });
  const cli = (args, options) => run(exedra(), [...args.slice(0, 1), "-c", hub.config, ...args.slice(1)], options);
  return { nats, hub, cli };
}

const folder = (t) => {
  const made = mkdtempSync(path.join(tmpdir(), "exedra-commands-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
};

/** `exedra tail` that listens already. */
async function startTail(t, hub, args) {
  const tail = new Program(exedra(), ["tail", "-c", hub.config, ...args]);
  t.after(() => tail.end());
  const listens = () => tail.lines.some((line) => line.startsWith("listening: "));
  await until(() => listens() || tail.ended, { what: () => `tail to listen: ${tail.log()}` });
  tail.heard = () => tail.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  return tail;
}

test("published events are answered", { timeout: 60_000 }, async (t) => {
  const { nats, hub, cli } = await scene(t);
  const ann = openClient(t, hub, { namespace: "/public-room/lobby" });
  await until(() => ann.connected, { what: "Ann" });
  const update = { message: "Grüße: 'all' \"of\" you" };
  const taken = await cli(["publish", "public-rooms", "lobby", "room-update", JSON.stringify(update)]);
  assert.deepEqual([taken.code, JSON.parse(taken.stdout)], [0, { ok: true }], taken.stderr);
  assert.deepEqual(await heard(ann, "room-update"), update);

  const piped = await cli(["publish", "public-rooms", "lobby", "piped", "-"], { input: "[1, 2]" });
  assert.equal(piped.code, 0, piped.stderr);
  assert.deepEqual(await heard(ann, "piped"), [1, 2]);

  const service = await openService(t, nats, ["exedra.dlq.>"]);
  const refused = await cli(["publish", "public-rooms", "lobby", "disconnect", "{}"]);
  assert.equal(refused.code, 1);
  assert.equal(JSON.parse(refused.stdout).error.code, "INVALID_REQUEST");
  assert.match(refused.stderr, /^error: refused: .*reserved.*\(INVALID_REQUEST\)/m);
  await service.message("exedra.dlq.public-rooms");

  const silent = await cli(["publish", "public-rooms", "lobby", "silent", "-1.5", "--no-wait"]);
  assert.deepEqual([silent.code, silent.stdout], [0, ""], silent.stderr);
  assert.equal(await heard(ann, "silent"), -1.5);
});

test("bodies and headers go as they are", { timeout: 60_000 }, async (t) => {
  const { nats, cli } = await scene(t);
  const service = await openService(t, nats, ["exedra.in.>"]);
  const frame = ["publish", "deepfake", "room 1", "video-frame", "-", "--raw", "--header", 'Frame-Meta={"participantId":"p"}'];
  const taken = await cli(frame, { input: "not json" });
  assert.equal(taken.code, 0, taken.stderr + taken.stdout);
  const seen = await service.message("exedra.in.deepfake.room=201.video-frame");
  assert.deepEqual([seen.text, seen.headers.get("Frame-Meta")], ["not json", '{"participantId":"p"}']);
});

test("what cannot be published says why", { timeout: 60_000 }, async (t) => {
  const { cli } = await scene(t);
  const fails = async (args, code, pattern) => {
    const said = await cli(args);
    assert.equal(said.code, code, `${args.join(" ")}: ${said.stderr}`);
    assert.match(said.stderr, pattern);
    assert.equal(said.stdout, "");
  };
  await fails(["publish", "public-rooms", "lobby", "x", "{nope"], 2, /is not JSON[^]*hint: /);
  await fails(["publish", "meetings", "m", "phase", "{}"], 1, /no hub takes injected events/);
  await fails(["publish", "public-rooms", "lobby", "x", "{}", "--set", `nats.url=nats://127.0.0.1:${await freePort()}`], 1, /cannot be reached/);
  const alone = new Hub(ROOMS);
  t.after(() => alone.stop());
  const said = await run(exedra(), ["tail", "-c", alone.config]);
  assert.equal(said.code, 2);
  assert.match(said.stderr, /nats\.url: is not set[^]*hint: .*--set nats\.url/);
});

test("tail shows what passes", { timeout: 60_000 }, async (t) => {
  const { hub, cli } = await scene(t);
  const all = await startTail(t, hub, []);
  const two = await startTail(t, hub, ["--count", "2", "exedra.in.public-rooms.>", "exedra.dlq.*"]);
  await cli(["publish", "public-rooms", "lobby", "disconnect", '{"x":1}']);
  await two.exited;
  assert.equal(two.ended.code, 0, two.log());
  const [first, second] = two.heard();
  const { at, ...rest } = first;
  assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const wanted = { kind: "in", plugin: "public-rooms", room: "lobby", event: "disconnect", request: true, payload: { x: 1 } };
  assert.deepEqual(rest, { subject: "exedra.in.public-rooms.lobby.disconnect", ...wanted });
  assert.deepEqual([second.kind, second.plugin], ["dlq", "public-rooms"]);
  assert.ok(second.headers.some(([name]) => name === "Exedra-Reason"));
  await until(() => all.heard().length === 2, { what: () => `both in the other tail: ${all.log()}` });
  all.child.kill("SIGINT");
  assert.equal((await all.exited).code, 0);
  assert.equal((await cli(["tail", "a..b"])).code, 2);
});

test("tail ends with its reader", { timeout: 60_000 }, async (t) => {
  const { hub, cli } = await scene(t);
  const pipe = spawn("sh", ["-c", `"$0" tail -c "$1" 'exedra.in.>' 2>"$2" | head -n 1`, exedra(), hub.config, `${hub.dir}/err`]);
  const ended = new Promise((resolve) => pipe.on("exit", resolve));
  t.after(() => pipe.kill());
  await until(() => readFileSync(`${hub.dir}/err`, { encoding: "utf8", flag: "a+" }).includes("listening"), { what: "the pipe" });
  for (let round = 0; round < 3; round += 1) await cli(["publish", "public-rooms", "lobby", "tick", "{}"]);
  assert.equal(await ended, 0);
});

test("doctor finds a healthy hub healthy", { timeout: 60_000 }, async (t) => {
  const { hub, cli } = await scene(t);
  const said = await cli(["doctor", "--json", "--set", `admin.listen=${new URL(hub.admin).host}`]);
  assert.equal(said.code, 0, said.stdout);
  const { ok, checks } = JSON.parse(said.stdout);
  assert.equal(ok, true);
  const level = (check) => checks.filter((one) => one.check === check).map((one) => one.level);
  for (const check of ["configuration", "open files", "plugins.public-rooms", "store.path", "nats", "nats jetstream", "admin.listen"]) {
    assert.ok(level(check).length > 0 && level(check).every((one) => one !== "fail"), `${check}: ${said.stdout}`);
  }
  assert.ok(checks.some((one) => one.check === "admin.listen" && one.says.startsWith("a hub is ready")), said.stdout);
  const lines = await cli(["doctor"], { env: { ...process.env, NO_COLOR: "1" } });
  assert.equal(lines.code, 0);
  assert.match(lines.stdout, /^ok {4}configuration /m);
  assert.doesNotMatch(lines.stdout, /\x1b/);
});

test("doctor finds what is wrong", { timeout: 60_000 }, async (t) => {
  const dir = folder(t);
  const secret = path.join(dir, "secret");
  writeFileSync(secret, "a secret of more than thirty-two bytes");
  chmodSync(secret, 0o644);
  const library = path.join(dir, "libecho.so");
  writeFileSync(library, "not a library");
  const expired = path.join(dir, "cert.pem");
  writeFileSync(expired, EXPIRED);
  const broken = new Hub({
    auth: { secret: undefined, secret_file: secret },
    plugins: { dir },
    "plugins.echo": { enabled: true, auth: "none" },
    nats: { url: `nats://127.0.0.1:${await freePort()}` },
    "nats.tls": { ca_file: expired },
    limits: { connections: 2_000_000_000 },
  });
  t.after(() => broken.stop());
  const said = await run(exedra(), ["doctor", "-c", broken.config, "--json"]);
  assert.equal(said.code, 1);
  const { ok, checks } = JSON.parse(said.stdout);
  assert.equal(ok, false);
  const failed = new Map(checks.filter((one) => one.level === "fail").map((one) => [one.check, one]));
  for (const [check, pattern] of [
    ["auth.secret_file", /wider than 0640/],
    ["plugins.echo.library", /./],
    ["nats", /cannot be reached/],
    ["nats.tls.ca_file", /was valid until 20/],
    ["open files", /connections and .* need more/],
  ]) {
    assert.match(failed.get(check)?.says ?? "", pattern, `${check}: ${said.stdout}`);
  }
  assert.ok(failed.get("auth.secret_file").hint.includes("chmod 640"));
  assert.match(said.stderr, /^error: \d+ of \d+ checks failed/m);
});

test("doctor knows whether writes are on the disk", { timeout: 60_000 }, async (t) => {
  const dir = folder(t);
  const level = async (sync) => {
    const [port, monitor] = [await freePort(), await freePort()];
    const file = path.join(dir, `nats-${port}.conf`);
    const store = path.join(dir, `store-${port}`);
    writeFileSync(file, `listen: "127.0.0.1:${port}"\nhttp: "127.0.0.1:${monitor}"\njetstream {\n store_dir: "${store}"\n ${sync}\n}\n`);
    const server = new Program(tool("NATS_SERVER"), ["-c", file]);
    t.after(() => server.end());
    const hub = new Hub({ ...ROOMS, nats: { url: `nats://127.0.0.1:${port}`, monitor: `http://127.0.0.1:${monitor}` } });
    t.after(() => hub.stop());
    const look = async () => {
      const said = await run(exedra(), ["doctor", "-c", hub.config, "--json"]);
      return JSON.parse(said.stdout).checks.find((one) => one.check === "nats sync_interval");
    };
    return until(look, { within: 15_000, what: () => `the server: ${server.log()}` });
  };
  const always = await level("sync_interval: always");
  assert.deepEqual([always.level, always.says.startsWith("always")], ["ok", true], JSON.stringify(always));
  const lazy = await level("");
  assert.equal(lazy.level, "warn");
  assert.match(lazy.says, /only every 120 s/);
});

test("completions and manual are whole", { timeout: 60_000 }, async (t) => {
  const bash = await run(exedra(), ["completions", "bash"]);
  assert.equal(bash.code, 0);
  const read = await run("bash", ["-n"], { input: bash.stdout });
  assert.equal(read.code, 0, read.stderr);
  for (const word of ["describe", "publish", "tail", "doctor", "man"]) assert.match(bash.stdout, new RegExp(`\\b${word}\\b`));
  const dir = path.join(folder(t), "man1");
  const said = await run(exedra(), ["man", "--dir", dir]);
  assert.equal(said.code, 0, said.stderr);
  const pages = readdirSync(dir).sort();
  for (const page of ["exedra.1", "exedra-serve.1", "exedra-publish.1", "exedra-config-show.1", "exedra-doctor.1"]) {
    assert.ok(pages.includes(page), `${page} among ${pages}`);
    assert.match(readFileSync(path.join(dir, page), "utf8"), /^\.TH /m);
  }
  assert.match((await run(exedra(), ["man"])).stdout, /^\.TH exedra 1/m);
});

test("four lines in each language reach clients", { timeout: 180_000 }, async (t) => {
  const { nats, hub } = await scene(t);
  const ann = openClient(t, hub, { namespace: "/public-room/lobby" });
  await until(() => ann.connected, { what: "Ann" });
  const readme = readFileSync(path.join(ROOT, "examples/publishers/README.md"), "utf8");
  const lines = (language) => {
    const block = readme.match(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``))?.[1];
    assert.ok(block, `the README has lines in ${language}`);
    assert.ok(block.trim().split("\n").length <= 6, `${language} has about four lines`);
    return block;
  };
  const dir = folder(t);
  const env = { ...process.env, NATS_URL: nats.url };
  symlinkSync(path.join(HERE, "node_modules"), path.join(dir, "node_modules"));
  writeFileSync(path.join(dir, "say.mjs"), lines("js"));
  writeFileSync(path.join(dir, "say.py"), lines("python"));
  // The Rust lines are built with the workspace; here they must be those of the README.
  const rust = readFileSync(path.join(ROOT, "examples/publishers/rust/src/bin/four_lines.rs"), "utf8");
  const squeezed = (text) => text.replace(/\s+/g, " ").trim();
  assert.ok(squeezed(rust).includes(squeezed(lines("rust"))), "the Rust lines are those that are built");
  const told = () => ann.heard.filter((one) => one.event === "room-update");
  for (const [language, program, args] of [
    ["js", process.execPath, [path.join(dir, "say.mjs")]],
    ["python", tool("PYTHON"), [path.join(dir, "say.py")]],
    ["rust", path.join(tool("EXEDRA_BIN_DIR"), "four-lines"), []],
  ]) {
    const before = told().length;
    const said = await run(program, args, { env });
    assert.equal(said.code, 0, `${language}: ${said.stderr}`);
    assert.match(said.stdout, /"ok":\s*true/, language);
    await until(() => told().length === before + 1, { what: `the words from ${language}` });
    assert.deepEqual(told().at(-1).args[0], { message: "hello" });
  }
  // Of the `nats` command, which cannot be installed from a package registry, the words as the shell gives them to it:
  // the same subject and the same bytes go to the same server. `exedra` beside it runs as it stands.
  const shell = lines("sh").split("\n").filter((line) => /^(nats|exedra) /.test(line));
  assert.equal(shell.length, 2);
  const service = await openService(t, nats);
  for (const line of shell) {
    const before = told().length;
    const words = await run("sh", ["-c", `say() { for word; do printf '%s\\0' "$word"; done; }; say ${line}`]);
    const [program, verb, ...rest] = words.stdout.split("\0").slice(0, -1);
    if (program === "nats") {
      assert.equal(verb, "request");
      assert.deepEqual(await service.request(rest[0], rest[1]), { ok: true });
    } else {
      const said = await run(exedra(), [verb, "-c", hub.config, ...rest]);
      assert.equal(said.code, 0, said.stderr);
    }
    await until(() => told().length === before + 1, { what: `the words of ${line}` });
  }
});

/** A certificate that was valid in 2020; its key is nowhere. */
const EXPIRED = `-----BEGIN CERTIFICATE-----
MIIBHDCBwgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9leHBpcmVkLmV4YW1w
bGUwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjAaMRgwFgYDVQQDDA9l
eHBpcmVkLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATRg7tkvpeS
bro9alTUMAxRg59HqN/FpAhfya+T8DumlaheOQZNBjZcjvsTAYADQ5IlYxlHjv/j
HxfoC8oD+ZlxMAoGCCqGSM49BAMCA0kAMEYCIQDtFyV2qqLIrHFGAhDqXcaMch9b
Tt6vsJR3ytNQviCfnQIhALMUucNOTjzVzQxFv/GvvlWtW17zXJuqd1Yt6vkhtsRH
-----END CERTIFICATE-----
`;
