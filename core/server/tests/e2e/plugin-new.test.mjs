// Projects for new plugins: made, built and tested outside of the repository, checked, run as plugins/README.md says, and
// answering a stock client.
// Needs: Cxx.

import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
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
  bare(project);
  return { folder, project };
}

/** Nothing in a project's sources is called as the example is. */
function bare(project) {
  const sources = readdirSync(project, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== "Cargo.lock");
  for (const file of sources.map((entry) => path.join(entry.parentPath, entry.name))) {
    assert.doesNotMatch(readFileSync(file, "utf8"), /quick.?poll|QuickPoll/, file);
  }
}

async function step(project, program, ...args) {
  const { code, stdout, stderr } = await run(program, args, { cwd: project });
  assert.equal(code, 0, `${program} ${args.join(" ")}\n${stdout}${stderr}`);
  return stderr;
}

/** Runs `exedra serve -c plugin.toml` in the project's folder, as its README says. */
async function serve(t, project, command = [exedra(), "serve", "-c", "plugin.toml"]) {
  const ports = path.join(project, "ports.json");
  const free = ["server.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0"].flatMap((set) => ["--set", set]);
  const [program, ...args] = [...command, ...free, "--ports-file", ports];
  const hub = new Program(program, args, { cwd: project });
  t.after(() => hub.end());
  await until(
    () => {
      hub.assertAlive();
      return existsSync(ports);
    },
    { within: 15_000, what: () => `the hub to listen:\n${hub.log()}` },
  );
  const { public: listens, admin } = JSON.parse(readFileSync(ports, "utf8"));
  return { url: `http://${listens}`, admin };
}

async function answers(t, hub, name = NAME) {
  const client = await connectClient(t, hub, { namespace: `/${name}` });
  assert.deepEqual(await client.emitWithAck("join", { poll: "lunch" }), { options: ["yes", "no"] });
  assert.deepEqual(await client.emitWithAck("vote", { option: "yes" }), { votes: 1 });
  return client;
}

test("a project in Rust, as plugins/README.md has it", LONG, async (t) => {
  const guide = readFileSync(path.join(ROOT, "plugins/README.md"), "utf8").split("\n## A project of its own\n")[1].split("\n## ")[0];
  const lines = /```sh\n(.*?)```/s.exec(guide)[1].trim().split("\n");
  const serves = lines.pop();
  assert.match(serves, /^exedra serve /);
  const [, page, name] = /<http:\/\/127\.0\.0\.1:3000(\/([a-z-]+)\/[a-z]+)>/.exec(guide);
  const again = /`(exedra plugin reload [^`]+)`/.exec(guide)[1];

  let folder = scratch(t);
  let shell = "umask 0002; "; // as on Ubuntu
  const env = { ...process.env, PATH: `${path.dirname(exedra())}:${process.env.PATH}`, CARGO_NET_OFFLINE: "true" };
  const say = async (line) => {
    const { code, stdout, stderr } = await run("sh", ["-c", shell + line], { cwd: folder, env });
    assert.equal(code, 0, `${line}\n${stdout}${stderr}`);
    return stdout;
  };
  for (const line of lines) {
    if (line.startsWith("umask ")) {
      shell += `${line.split("#")[0].trim()}; `;
      continue;
    }
    if (!line.startsWith("cd ")) {
      await say(line);
      continue;
    }
    folder = path.join(folder, line.slice("cd ".length));
    // What is built lies where the next run finds it; the versions are those that the repository was built with.
    const target = path.join(tool("EXEDRA_BIN_DIR"), "../scaffold");
    mkdirSync(target, { recursive: true });
    symlinkSync(target, path.join(folder, "target"));
    copyFileSync(path.join(ROOT, "Cargo.lock"), path.join(folder, "Cargo.lock"));
  }
  assert.equal(path.basename(folder), name);
  bare(folder);
  // Its tests are the example's under another name, and need the whole hub to be built for them: the long form.
  if (process.env.EXEDRA_SOAK) await say("cargo test --release --quiet");

  const hub = await serve(t, folder, [exedra(), ...serves.split(" ").slice(1)]);
  const shown = await fetch(hub.url + page);
  assert.deepEqual([shown.status, await shown.json()], [200, { poll: "demo", votes: { yes: 0, no: 0 }, members: 0 }]);
  const client = await answers(t, hub, name);

  // A change, and the hub goes on with it.
  const source = path.join(folder, "src/lib.rs");
  writeFileSync(source, readFileSync(source, "utf8").replace("you have voted", "you have voted already"));
  await say("cargo build --release --quiet");
  assert.match(await say(`${again} --admin ${hub.admin}`), new RegExp(`^${name} is 0\\.1\\.0 now, generation 2; its connections stay\n$`));
  assert.equal((await client.emitWithAck("vote", { option: "yes" })).error.message, "you have voted already");
  assert.deepEqual(client.drops, []);
});

test("a project in C", LONG, async (t) => {
  const { project } = await make(t, "--lang", "c");
  await step(project, "make");
  await step(project, "make", "test", `EXEDRA=${exedra()}`);
  assert.equal(await step(project, exedra(), "plugin", "check", "liblunch_poll.so", "-c", "plugin.toml"), "");
  await answers(t, await serve(t, project));
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
