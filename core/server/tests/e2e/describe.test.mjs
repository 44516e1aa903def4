// Descriptions: every plugin's events, routes and subjects as AsyncAPI, OpenAPI, TypeScript and JSON Schema. Checked by the
// tools of each kind, each with a control that must fail, and against what clients, READMEs and a running hub do.
// Needs: Python.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Parser } from "@asyncapi/parser";
import Ajv from "ajv/dist/2020.js";
import { WebSocket } from "ws";

import { connectClient, heard, rest } from "./harness/client.mjs";
import { exedra, Hub, ROOT, startHub } from "./harness/hub.mjs";
import { run, tool } from "./harness/process.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime } from "./harness/wait.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const FOLDERS = {
  ...Object.fromEntries(["deepfake", "echo", "hangouts", "live-preview", "meetings", "public-rooms"].map((name) => [name, `plugins/${name}`])),
  "quick-poll": "examples/plugin-rust",
};
const ALL = Object.fromEntries(Object.keys(FOLDERS).map((name) => [`plugins.${name}`, { enabled: true }]));

const folder = (t) => {
  const made = mkdtempSync(path.join(tmpdir(), "exedra-describe-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
};

/** A document from the command line. */
async function described(config, format) {
  const said = await run(exedra(), ["describe", "--format", format, "-c", config], { cwd: ROOT });
  assert.equal(said.code, 0, said.stderr);
  return said.stdout;
}

/** All documents of all plugins. */
async function documents(t, sections = {}) {
  const hub = new Hub({ ...ALL, ...sections });
  t.after(() => hub.stop());
  const [asyncapi, openapi, ts, jsonschema] = await Promise.all(
    ["asyncapi", "openapi", "ts", "jsonschema"].map((format) => described(hub.config, format)),
  );
  return { asyncapi: JSON.parse(asyncapi), openapi: JSON.parse(openapi), ts, jsonschema: JSON.parse(jsonschema) };
}

test("documents are served and cached", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, ALL);
  for (const [place, format, type] of [
    ["/openapi.json", "openapi", /^application\/json/],
    ["/asyncapi.json", "asyncapi", /^application\/json/],
    ["/types.d.ts", "ts", /^application\/typescript/],
  ]) {
    const first = await fetch(`${hub.url}${place}`);
    assert.equal(first.status, 200, place);
    assert.match(first.headers.get("content-type"), type);
    assert.equal(await first.text(), await described(hub.config, format), `${place} and the command say the same`);
    const again = await fetch(`${hub.url}${place}`, { headers: { "if-none-match": first.headers.get("etag") } });
    assert.equal(again.status, 304, place);
    assert.equal((await fetch(`${hub.url}${place}`, { method: "POST" })).status, 405, place);
  }
});

test("documents can be switched off", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, { ...ALL, server: { descriptions: false } });
  for (const place of ["/openapi.json", "/asyncapi.json", "/types.d.ts"]) {
    assert.equal((await rest(hub, "GET", place)).status, 404, place);
  }
});

test("asyncapi is valid", { timeout: 120_000 }, async (t) => {
  const { asyncapi } = await documents(t);
  const errors = async (document) => {
    const { diagnostics } = await new Parser().parse(JSON.stringify(document));
    return diagnostics.filter((one) => one.severity === 0).map((one) => `${one.path.join("/")}: ${one.message}`);
  };
  assert.deepEqual(await errors(asyncapi), []);
  const [operation] = Object.values(asyncapi.operations);
  operation.messages = [{ $ref: "#/channels/nowhere/messages/none" }];
  assert.notDeepEqual(await errors(asyncapi), [], "a broken document is noticed");
});

test("openapi is valid", { timeout: 120_000 }, async (t) => {
  const { openapi } = await documents(t);
  const file = path.join(folder(t), "openapi.json");
  const redocly = path.join(HERE, "node_modules/@redocly/cli/bin/cli.js");
  const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const lint = async (document) => {
    writeFileSync(file, JSON.stringify(document));
    const said = await run(process.execPath, [redocly, "lint", file, "--format=json"], { env, cwd: path.dirname(file) });
    return JSON.parse(said.stdout);
  };
  const { totals, problems } = await lint(openapi);
  assert.equal(totals.errors, 0, JSON.stringify(problems.filter((one) => one.severity === "error").slice(0, 5)));
  const surplus = problems.filter((one) => one.ruleId === "no-unused-components");
  assert.deepEqual(surplus, [], "no definition is there for nothing");
  openapi.paths["/meetings/{id}"].get.parameters = [];
  assert.ok((await lint(openapi)).totals.errors > 0, "a broken document is noticed");
});

/** What the TypeScript compiler says of a program that uses the types. */
async function compiled(t, types, program) {
  const made = folder(t);
  writeFileSync(path.join(made, "hub.d.ts"), types);
  writeFileSync(path.join(made, "package.json"), '{"type":"module"}');
  writeFileSync(path.join(made, "client.ts"), program);
  symlinkSync(path.join(HERE, "node_modules"), path.join(made, "node_modules"));
  const options = "--strict --noEmit --noUncheckedIndexedAccess --module nodenext --target es2022 --lib es2022,dom --types";
  const tsc = path.join(HERE, "node_modules/typescript/bin/tsc");
  return run(process.execPath, [tsc, ...options.split(" "), "", "client.ts"], { cwd: made });
}

test("typed clients compile", { timeout: 120_000 }, async (t) => {
  const { ts } = await documents(t);
  const client = readFileSync(path.join(HERE, "peers/typed_client.ts"), "utf8");
  const good = await compiled(t, ts, client);
  assert.equal(good.code, 0, good.stdout);
  // Without the marks, each line that they expect to be wrong is an error.
  const marks = client.match(/@ts-expect-error/g).length;
  const bad = await compiled(t, ts, client.replaceAll("// @ts-expect-error", "// wrong:"));
  assert.equal(bad.code === 0, false, "wrong events are noticed");
  assert.equal(bad.stdout.match(/error TS/g)?.length, marks, bad.stdout);
});

test("what clients use is described", { timeout: 120_000 }, async (t) => {
  const { asyncapi, openapi } = await documents(t);
  const names = (direction) =>
    new Set(
      Object.values(asyncapi.channels).flatMap((channel) =>
        Object.entries(channel.messages).flatMap(([id, message]) => (id.startsWith(direction) ? [message.name] : [])),
      ),
    );
  const [sent, got] = [names("in."), names("out.")];
  const routes = new Set(routesOf(openapi));
  // A path with a value where a described one has a name.
  const filled = [...routes].map((route) => new RegExp(`^${route.replaceAll("{}", "[^/]+")}$`));
  // What tests do to see it refused, what libraries send by themselves, names that are put together, and what another
  // version of a plugin has.
  const known = new Set([
    ...["no_such_event", "DANCE", "line", "piped", "silent", "shout", "again"],
    ...["connect", "connect_error", "disconnect", "joined", "message"],
    ...["POST /api/rooms/{}/{}", "POST /meetings/{}/{}", "POST /api/public/{}"],
    ...["GET /no/such/route", "GET /quick-poll/lunch/now"],
  ]);
  let used = 0;
  for (const file of [...sources(HERE), ...sources(path.join(ROOT, "examples/web"))]) {
    const text = readFileSync(file, "utf8");
    const check = (name, described) => {
      used += 1;
      const fits = described.has(name) || known.has(name) || (described === routes && filled.some((route) => route.test(name)));
      assert.ok(fits, `${path.basename(file)} uses ${name}, which no document has`);
    };
    for (const [, event] of text.matchAll(/\.emit(?:WithAck)?\(\s*"([^"]+)"/g)) check(event, sent);
    for (const [, event] of text.matchAll(/\bheard\(\w+,\s*"([^"]+)"/g)) check(event, got);
    // In tests, much else than sockets has events.
    const listening = file.startsWith(HERE) ? [] : text.matchAll(/\.on(?:ce)?\(\s*"([^"]+)"/g);
    for (const [, event] of listening) check(event, got);
    for (const [, action] of text.matchAll(/action: "([A-Z_]+)"/g)) check(action, sent);
    for (const [, method, , route] of text.matchAll(/"(GET|POST|PUT|PATCH|DELETE)",\s*(["`])(\/[^"`]*)\2/g)) {
      check(`${method} ${route.replace(/\?.*$/, "").replace(/\$\{[^}]*\}/g, "{}")}`, routes);
    }
  }
  assert.ok(used > 200, `only ${used} uses were found: the search is broken`);
});

test("what READMEs promise is described", { timeout: 120_000 }, async (t) => {
  const { asyncapi, openapi } = await documents(t);
  const channels = Object.values(asyncapi.channels);
  const addresses = new Set(channels.map((channel) => channel.address?.replace("{room}", "*").replace("{event}", "*")));
  const events = new Set(channels.flatMap((channel) => Object.values(channel.messages).map((message) => message.name)));
  const routes = new Set(routesOf(openapi));
  let promises = 0;
  for (const [plugin, folder] of Object.entries(FOLDERS)) {
    const text = readFileSync(path.join(ROOT, folder, "README.md"), "utf8");
    const section = (title) => text.split(`\n## ${title}\n`)[1]?.split("\n## ")[0] ?? "";
    const promise = (what, described, as = what) => {
      promises += 1;
      assert.ok(described.has(as), `${plugin}: ${what} is promised, but not described`);
    };
    // The first cells of tables of events and messages.
    for (const [, table] of text.matchAll(/^\| (?:event|message in|message out) \|.*\n((?:\|.*\n)*)/gm)) {
      for (const [, cell] of table.matchAll(/^\| (`[^|]*?) \|/gm)) {
        const action = /"action": "([A-Z_]+)"/.exec(cell)?.[1];
        if (action) promise(action, events);
        else for (const [, event] of cell.matchAll(/`([A-Za-z_-]+)`/g)) promise(event, events);
      }
    }
    for (const [, method, route] of section("REST").matchAll(/^\| `([A-Z]+) (\/[^`?]*)/gm)) {
      promise(`${method} ${route}`, routes, `${method} ${route.replace(/\{[^}]*\}/g, "{}")}`);
    }
    for (const [, subject] of section("NATS").matchAll(/^\| `(exedra\.[^`]*)`/gm)) {
      promise(subject, addresses, subject.replace(/<[^>]*>/g, "*"));
    }
  }
  assert.ok(promises > 100, `only ${promises} promises were found: the search is broken`);
});

test("what is sent fits its schema", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, { ...ALL, "plugins.deepfake.settings": { detectors: "anyone" } });
  const schema = JSON.parse(await described(hub.config, "jsonschema"));
  const ajv = new Ajv({ strict: false, validateFormats: false });
  ajv.addSchema(schema, "hub");
  const fits = (plugin, part, name, value) => {
    const at = ["x-plugins", plugin, ...part.split("/").flatMap((key) => [key, ...(key === part.split("/")[0] ? [name] : [])])];
    const pointer = at.map((key) => encodeURIComponent(String(key).replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
    const validate = ajv.getSchema(`hub#/${pointer}`);
    assert.ok(validate, pointer);
    assert.ok(validate(value), `${name}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`);
  };
  const ann = await connectClient(t, hub, { token: mint("ann") });
  const body = { meetingId: "m", participantIds: ["ann"] };
  const made = await rest(hub, "POST", "/meetings", { token: mint("dora"), body });
  fits("meetings", "routes/answer", "POST /meetings", made.json);
  fits("meetings", "events/acknowledgement", "join_meeting", await ann.emitWithAck("join_meeting", { meetingId: "m" }));
  fits("meetings", "events/acknowledgement", "join_meeting", await ann.emitWithAck("join_meeting", 7));
  fits("meetings", "emits/arguments/0", "participants_updated", await heard(ann, "participants_updated"));
  fits("meetings", "emits/arguments/0", "participantJoined", await heard(ann, "participantJoined"));
  const vote = { understandingScore: 90 };
  const voted = await rest(hub, "POST", "/meetings/m/understanding-contributions", { token: mint("ann"), body: vote });
  fits("meetings", "routes/answer", "POST /meetings/{id}/understanding-contributions", voted.json);
  fits("meetings", "emits/arguments/0", "voting_progress", await heard(ann, "voting_progress"));
  fits("deepfake", "events/acknowledgement", "join-meeting", await ann.emitWithAck("join-meeting", { meetingId: "m" }));
  fits("deepfake", "emits/arguments/0", "meeting-joined", await heard(ann, "meeting-joined"));
  fits("deepfake", "events/acknowledgement", "join-meeting", await ann.emitWithAck("join-meeting", {}));
  fits("deepfake", "emits/arguments/0", "error", await heard(ann, "error"));
  const alert = { meetingId: "m", participantId: "p", severity: "high", message: "x" };
  fits("deepfake", "events/acknowledgement", "deepfake-alert", await ann.emitWithAck("deepfake-alert", alert));
  fits("deepfake", "emits/arguments/0", "deepfake-alert", await heard(ann, "deepfake-alert"));
  ann.emit("trust-score-update", { meetingId: "m", participantId: "p", trustScore: 0.9 });
  fits("deepfake", "emits/arguments/0", "trust-score-update", await heard(ann, "trust-score-update"));
  fits("deepfake", "emits/arguments/0", "analytics-update", await heard(ann, "analytics-update"));
  ann.emit("video-frame", Buffer.from([1]), { meetingId: "m", participantId: "p" });
  await heard(ann, "video-frame");
  fits("deepfake", "emits/arguments/1", "video-frame", ann.heard.find((one) => one.event === "video-frame").args[1]);
  const project = await rest(hub, "POST", "/api/projects", { token: mint("ann"), body: { name: "Site" } });
  fits("live-preview", "routes/answer", "POST /api/projects", project.json);
  const { projectId } = project.json;
  fits("live-preview", "events/acknowledgement", "join-project", await ann.emitWithAck("join-project", { projectId }));
  fits("live-preview", "events/acknowledgement", "join-project", await ann.emitWithAck("join-project", { projectId: "?" }));
  fits("live-preview", "emits/arguments/0", "viewers-updated", await heard(ann, "viewers-updated"));
  const room = await connectClient(t, hub, { namespace: "/public-room/r" });
  const made2 = await rest(hub, "POST", "/api/public/rooms", { body: { name: "R", roomId: "r" } });
  fits("public-rooms", "routes/answer", "POST /api/public/rooms", made2.json);
  const user = await rest(hub, "POST", "/api/public/users", { body: { userName: "Ann" } });
  fits("public-rooms", "routes/answer", "POST /api/public/users", user.json);
  const entered = await room.emitWithAck("join-room", { userId: user.json.userId, userName: "Ann" });
  fits("public-rooms", "events/acknowledgement", "join-room", entered);
  fits("public-rooms", "emits/arguments/0", "user-joined", await heard(room, "user-joined"));
  fits("public-rooms", "events/acknowledgement", "join-room", await room.emitWithAck("join-room", { userId: "nobody" }));
  fits("public-rooms", "emits/arguments/0", "error", await heard(room, "error"));
  const hangout = await rest(hub, "POST", "/api/rooms", { body: { name: "Room" } });
  fits("hangouts", "routes/answer", "POST /api/rooms", hangout.json);
  const link = new WebSocket(`${hub.url.replace("http", "ws")}/ws/rooms?userId=ann`);
  t.after(() => link.terminate());
  const frames = [];
  const five = new Promise((resolve) => link.on("message", (data) => frames.push(JSON.parse(data)) === 5 && resolve()));
  await new Promise((resolve) => link.once("open", resolve));
  for (const action of ["PING", "GET_ROOM_STATUS", "JOIN_ROOM", "DANCE"]) link.send(JSON.stringify({ action, roomId: 1 }));
  link.on("message", (data) => {
    if (JSON.parse(data).type === "ERROR") void rest(hub, "POST", "/api/rooms/1/join", { body: { userId: "bob" } });
  });
  await inTime(five, 5_000, `five frames: ${JSON.stringify(frames)}`);
  for (const { type, ...frame } of frames) fits("hangouts", "emits/arguments/0", type, frame);
  const problem = await rest(hub, "GET", "/meetings/none", { token: mint("ann") });
  assert.ok(ajv.getSchema("hub#/$defs/Problem")(problem.json));
  assert.throws(() => fits("meetings", "emits/arguments/0", "phaseChanged", { meetingId: 7 }), "a wrong payload is noticed");
  const undeclared = hub.program.lines.filter((line) => line.includes("manifest does not declare"));
  assert.deepEqual(undeclared, []);
});

test("generated requests find no fault", { timeout: 300_000 }, async (t) => {
  const hub = await startHub(t, ALL);
  const checks = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"];
  const args = ["-m", "schemathesis.cli", "run", `${hub.url}/openapi.json`, "--url", hub.url, "--no-color", "--seed", "1"];
  const amount = ["--phases", "fuzzing", "--max-examples", "10", "--checks", checks.join(",")];
  // Not as a program's argument: those can be read by every user.
  const cwd = folder(t);
  writeFileSync(path.join(cwd, "schemathesis.toml"), `[headers]\nAuthorization = "Bearer ${mint("ann")}"\n`);
  const said = await run(tool("PYTHON"), [...args, ...amount], { cwd });
  assert.equal(said.code, 0, said.stdout.slice(-4000) + said.stderr);
  const [, generated, passed] = /(\d+) generated, (\d+) passed/.exec(said.stdout);
  assert.ok(Number(generated) > 200 && generated === passed, said.stdout.slice(-2000));
  hub.program.assertAlive();
  assert.equal(await hub.total("exedra_plugin_panics_total"), 0);
});

test("a plugin in C is described", { timeout: 120_000 }, async (t) => {
  const dir = folder(t);
  const source = path.join(HERE, "peers/greeter.c");
  const library = path.join(dir, "libgreeter.so");
  const include = path.join(ROOT, "core/abi/include");
  const built = await run("cc", ["-shared", "-fPIC", "-Wall", "-Werror", "-I", include, "-o", library, source]);
  assert.equal(built.code, 0, built.stderr);
  const hub = new Hub({ plugins: { dir }, "plugins.greeter": { enabled: true } });
  t.after(() => hub.stop());
  const ts = await described(hub.config, "ts");
  assert.match(ts, /"greet": \(payload: GreeterWhom, acknowledge\?: /);
  assert.match(ts, /"greeted": \(payload: string\) => void;/);
  const openapi = JSON.parse(await described(hub.config, "openapi"));
  assert.equal(openapi.paths["/greetings"].get.summary, "How many.");
});

/** `METHOD /path` with parameters as `{}`. */
function routesOf(openapi) {
  return Object.entries(openapi.paths).flatMap(([route, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${route.replace(/\{[^}]*\}/g, "{}")}`),
  );
}

/** Not looked at: what was installed, this file, and clients of plugins that are not shipped. */
const OTHERS = new Set([
  ...["node_modules", "vendor", path.basename(fileURLToPath(import.meta.url))],
  ...["crowd.mjs", "cluster.mjs"], // clients of the load tester's plugin
  ...["plugin-examples.test.mjs", "plugin-new.test.mjs", "plugin-reload.test.mjs"],
]);

/** JavaScript below a folder. */
function sources(dir) {
  return readdirSync(dir).flatMap((name) => {
    const file = path.join(dir, name);
    if (OTHERS.has(name)) return [];
    if (statSync(file).isDirectory()) return sources(file);
    return /\.m?js$/.test(name) ? [file] : [];
  });
}
