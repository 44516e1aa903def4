// Projects for new plugins: made, built and tested outside of the repository, checked, run as their README says, and
// answering a stock client.
// Needs: Cxx.

import assert from "node:assert/strict";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { connectClient } from "./harness/client.mjs";
import { exedra, ROOT } from "./harness/hub.mjs";
import { Program, run, tool } from "./harness/process.mjs";
import { scratch } from "./harness/project.mjs";
import { until } from "./harness/wait.mjs";

const LONG = { timeout: 900_000 };
const NAME = "lunch-poll";

async function make(t, ...more) {
  const folder = scratch(t);
  const made = await run(exedra(), ["plugin", "new", NAME, ...more], { cwd: folder });
  assert.equal(made.code, 0, made.stderr);
  const project = path.join(folder, NAME);
  assert.match(made.stdout, new RegExp(`^${NAME} is in ${NAME}\n`));
  for (const file of readdirSync(project, { recursive: true }).filter((file) => !existsSync(path.join(project, file, ".")))) {
    assert.doesNotMatch(readFileSync(path.join(project, file), "utf8"), /quick.?poll|QuickPoll/, file);
  }
  return { folder, project };
}

async function step(project, program, ...args) {
  const { code, stdout, stderr } = await run(program, args, { cwd: project });
  assert.equal(code, 0, `${program} ${args.join(" ")}\n${stdout}${stderr}`);
  return stderr;
}

/** `exedra serve -c plugin.toml` in the project's folder, as its README says. */
async function serve(t, project) {
  const ports = path.join(project, "ports.json");
  const free = ["server.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0"].flatMap((set) => ["--set", set]);
  const hub = new Program(exedra(), ["serve", "-c", "plugin.toml", ...free, "--ports-file", ports], { cwd: project });
  t.after(() => hub.end());
  await until(
    () => {
      hub.assertAlive();
      return existsSync(ports);
    },
    { within: 15_000, what: () => `the hub to listen:\n${hub.log()}` },
  );
  return { url: `http://${JSON.parse(readFileSync(ports, "utf8")).public}` };
}

async function answers(t, project) {
  const client = await connectClient(t, await serve(t, project), { namespace: `/${NAME}` });
  assert.deepEqual(await client.emitWithAck("join", { poll: "lunch" }), { options: ["yes", "no"] });
  assert.deepEqual(await client.emitWithAck("vote", { option: "yes" }), { votes: 1 });
}

test("a project in Rust", LONG, async (t) => {
  const { project } = await make(t);
  // What is built lies where the next run finds it; the versions are those that the repository was built with.
  const target = path.join(tool("EXEDRA_BIN_DIR"), "../scaffold");
  mkdirSync(target, { recursive: true });
  symlinkSync(target, path.join(project, "target"));
  copyFileSync(path.join(ROOT, "Cargo.lock"), path.join(project, "Cargo.lock"));
  await step(project, "cargo", "build", "--release", "--offline", "--quiet");
  // Its tests are the example's under another name, and need the whole hub to be built for them: the long form.
  if (process.env.EXEDRA_SOAK) await step(project, "cargo", "test", "--release", "--offline", "--quiet");
  const library = "target/release/liblunch_poll.so";
  chmodSync(path.join(project, library), 0o755);
  assert.equal(await step(project, exedra(), "plugin", "check", library, "-c", "plugin.toml"), "");
  await answers(t, project);
});

test("a project in C", LONG, async (t) => {
  const { project } = await make(t, "--lang", "c");
  await step(project, "make");
  await step(project, "make", "test", `EXEDRA=${exedra()}`);
  assert.equal(await step(project, exedra(), "plugin", "check", "liblunch_poll.so", "-c", "plugin.toml"), "");
  await answers(t, project);
});

test("nothing is overwritten, and names are looked at", LONG, async (t) => {
  const { folder, project } = await make(t, "--lang", "c");
  const before = readFileSync(path.join(project, "Makefile"), "utf8");
  const again = await run(exedra(), ["plugin", "new", NAME], { cwd: folder });
  assert.deepEqual([again.code, again.stdout], [1, ""]);
  assert.match(again.stderr, /^error: lunch-poll exists already; nothing was changed\n$/);
  assert.equal(readFileSync(path.join(project, "Makefile"), "utf8"), before);
  for (const name of ["../out", "/tmp/out", "a b", "A", "fn", "x".repeat(33), "a\nb", "", "--lang"]) {
    const refused = await run(exedra(), ["plugin", "new", "--", name], { cwd: folder });
    assert.deepEqual([refused.code, refused.stdout], [2, ""], name);
  }
  const nowhere = await run(exedra(), ["plugin", "new", "other", "--sdk", folder], { cwd: folder });
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /is not the folder of exedra-sdk/);
  assert.deepEqual(readdirSync(folder), [NAME]);
});
