// What examples/deploy gives for a cluster holds together: configurations pass the hub's own check, files that are mounted exist,
// names of hubs and servers are the same everywhere, and the Kubernetes patches fit what they patch. cluster-trio has the
// servers, the hubs and the balancer at work.
// Needs: Python, Nats.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { DEPLOY, files, seconds, setting, shipped, unpinned, withoutComments, yaml } from "./harness/deploy.mjs";
import { newMeeting } from "./harness/client.mjs";
import { SHARED } from "./harness/cluster.mjs";
import { exedra, Hub, MEETINGS, ROOT } from "./harness/hub.mjs";
import { openService, startNats } from "./harness/nats.mjs";
import { run, tool } from "./harness/process.mjs";
import { mint } from "./harness/tokens.mjs";
import { until } from "./harness/wait.mjs";

/** What the hub may take after `server.drain`: core/server/src/app.rs and drain.rs. */
const AFTER_DRAIN = 25;

const inRepository = (file) => readFileSync(path.join(ROOT, file), "utf8");
const only = async (file) => (await yaml(shipped(file)))[0];
const COMPOSE = await only("docker/compose.cluster.yml");
const services = (prefix) => Object.entries(COMPOSE.services).filter(([name]) => name.startsWith(prefix));
const hubs = services("hub-");
const servers = services("nats-");
const OVERLAY = await only("kubernetes-cluster/kustomization.yaml");
const BASE = (await Promise.all(files(path.join(DEPLOY, "kubernetes")).map((file) => yaml(shipped(`kubernetes/${file}`))))).flat();

const CONFIGURATIONS = {
  compose: shipped("docker/hub-cluster/exedra.toml"),
  kubernetes: (await only("kubernetes-cluster/configmap.yaml")).data["exedra.toml"],
  development: inRepository("config/cluster.toml"),
};

function folder(t) {
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-deploy-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

for (const [user, toml] of Object.entries(CONFIGURATIONS)) {
  test(`configuration of ${user} passes`, async (t) => {
    const dir = folder(t);
    const file = path.join(dir, "exedra.toml");
    const sets = [["store.path", path.join(dir, "x.redb")], ["plugins.dir", tool("EXEDRA_BIN_DIR")]];
    const secrets = [["auth.secret_file", "secret_file"], ["admin.token_file", "token_file"], ["nats.password_file", "password_file"]];
    for (const [key, name] of secrets.filter(([, name]) => setting(toml, name))) {
      writeFileSync(path.join(dir, name), "a-secret-of-this-test-that-is-long-enough\n", { mode: 0o640 });
      sets.push([key, path.join(dir, name)]);
    }
    const check = (text) => {
      writeFileSync(file, text);
      return run(exedra(), ["config", "check", "-c", file, ...sets.flatMap(([key, value]) => ["--set", `${key}="${value}"`])], { cwd: ROOT });
    };
    const good = await check(toml);
    assert.equal(good.code, 0, good.stderr);
    assert.equal((await check(toml.replace("\nlease =", "\nleese ="))).code, 2, "an unknown key is found");
    assert.equal((await check(toml.replace(/\nurl = .*/, ""))).code, 2, "nodes need a server");
  });
}

test("compose names three of everything, the same everywhere", async () => {
  const names = ["hub-1", "hub-2", "hub-3"];
  assert.deepEqual(hubs.map(([name]) => name), names);
  assert.deepEqual(hubs.map(([, hub]) => hub.environment.EXEDRA_CLUSTER__NODE), names);
  assert.deepEqual(servers.map(([name, server]) => [name, server.environment.NATS_NAME]), [1, 2, 3].map((n) => [`nats-${n}`, `nats-${n}`]));
  assert.equal(new Set(servers.flatMap(([, server]) => server.volumes.filter((one) => one.endsWith(":/data")))).size, 3, "a folder each");

  const toml = CONFIGURATIONS.compose;
  assert.equal(setting(toml, "url"), servers.map(([name]) => `nats://${name}:4222`).join());
  assert.equal(setting(toml, "monitor"), servers.map(([name]) => `http://${name}:8222`).join());
  assert.equal(Number(setting(toml, "replicas")), servers.length);
  const nginx = withoutComments(shipped("docker/nginx.cluster.conf"));
  assert.deepEqual([...nginx.matchAll(/server (hub-\d):3000 /g)].map(([, name]) => name), names);
  const scrape = await only("docker/prometheus.cluster.yml");
  assert.deepEqual(scrape.scrape_configs[0].static_configs, [{ targets: names.map((name) => `${name}:9464`) }]);
  scrape.scrape_configs[0].static_configs = [{ targets: ["127.0.0.1:9464"] }];
  assert.deepEqual(scrape, (await yaml(inRepository("dashboards/prometheus.yml")))[0], "else it is the one of the dashboards");
  const subnet = COMPOSE.networks.default.ipam.config[0].subnet;
  assert.ok(toml.includes(`\ntrusted_proxies = ["${subnet}"]\n`) && nginx.includes(`set_real_ip_from ${subnet};`), subnet);
});

test("compose mounts what exists", () => {
  const at = path.join(DEPLOY, "docker");
  for (const [name, service] of Object.entries(COMPOSE.services)) {
    assert.ok(!unpinned(service.image), service.image);
    for (const mount of service.volumes ?? []) {
      const [source, target] = mount.split(":");
      const here = source.startsWith(".") ? existsSync(path.resolve(at, source)) : source in COMPOSE.volumes;
      assert.ok(here && target.startsWith("/"), `${name}: ${mount}`);
    }
    for (const given of service.secrets ?? []) assert.ok(COMPOSE.secrets[given], `${name}: ${given}`);
    for (const needed of service.depends_on ?? []) assert.ok(COMPOSE.services[needed], `${name}: ${needed}`);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, `${name} is on loopback only`);
  }
  const [, first] = hubs[0];
  const named = [...CONFIGURATIONS.compose.matchAll(/"\/run\/secrets\/([\w-]+)"/g)].map(([, name]) => name);
  assert.deepEqual(named.sort(), [...first.secrets].sort(), "the hubs are given the secrets that they name");
  assert.equal(path.resolve(at, first.build.context), path.resolve(ROOT));
  const [, { entrypoint, secrets }] = servers[0];
  const read = [...entrypoint.at(-1).matchAll(/\/run\/secrets\/([\w-]+)/g)].map(([, name]) => name);
  assert.deepEqual(read.sort(), [...secrets].sort(), "the servers are given the secrets that they read");
  const variables = [...shipped("docker/nats-cluster.conf").matchAll(/\$([A-Z_]+\d?)\b(?!\.)/g)].map(([, name]) => name);
  for (const name of variables.filter((one) => !["KV", "JS", "SRV", "NATS_NAME"].includes(one))) {
    assert.ok(entrypoint.at(-1).includes(name.replace(/\d$/, "")), `${name} is set`);
  }
  const readme = shipped("README.md");
  for (const name of Object.keys(COMPOSE.secrets)) assert.ok(readme.includes(`secrets/${name}`), `the README makes ${name}`);
  assert.ok(seconds(first.stop_grace_period) > seconds(setting(CONFIGURATIONS.compose, "drain")) + AFTER_DRAIN);
  assert.ok(first.ulimits.nofile > Number(setting(CONFIGURATIONS.compose, "connections")) + 500);
});

/** Applies a JSON patch; fails where it does not fit. */
function patched(object, patch) {
  const result = structuredClone(object);
  for (const { op, path: pointer, value } of patch) {
    const keys = pointer.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop();
    const place = keys.reduce((at, key) => at?.[key], result);
    assert.ok(place && typeof place === "object", `${pointer}: there is no such place`);
    if (op === "add" && last === "-") place.push(value);
    else if (op === "add") place[last] = value;
    else {
      assert.ok(last in place, `${pointer}: there is nothing`);
      if (op === "remove") delete place[last];
      else place[last] = value;
    }
  }
  return result;
}

test("Kubernetes patches fit", async () => {
  const at = "kubernetes-cluster";
  assert.deepEqual(OVERLAY.resources, ["../kubernetes"]);
  assert.deepEqual(
    ["kustomization.yaml", ...OVERLAY.patches.map((patch) => patch.path)].sort(),
    files(path.join(DEPLOY, at)),
    "each file is used",
  );
  const changed = {};
  for (const { path: file, target } of OVERLAY.patches.filter((patch) => patch.target)) {
    const object = BASE.find((one) => one.kind === target.kind && one.metadata.name === target.name);
    changed[target.kind] = patched(object, await only(`${at}/${file}`));
  }
  const { spec } = changed.StatefulSet;
  const [hub] = spec.template.spec.containers;
  assert.equal(changed.PodDisruptionBudget.spec.minAvailable, spec.replicas - 1, "one may be away");
  assert.equal(hub.env[0].name, "EXEDRA_CLUSTER__NODE");
  const volumes = spec.template.spec.volumes.map((volume) => volume.name);
  assert.deepEqual(hub.volumeMounts.map((mount) => mount.name).sort(), [...volumes].sort());
  const toml = CONFIGURATIONS.kubernetes;
  const mounted = hub.volumeMounts.find((mount) => mount.name === "data").mountPath;
  assert.equal(path.dirname(setting(toml, "path")), mounted);
  const allowed = changed.NetworkPolicy.spec.egress.flatMap((rule) => rule.ports.map((port) => port.port));
  for (const [, port] of `${setting(toml, "url")},${setting(toml, "monitor")}`.matchAll(/:(\d+)/g)) {
    assert.ok(allowed.includes(Number(port)), `a hub may reach ${port}`);
  }
  assert.equal(changed.Service.spec.sessionAffinity, "ClientIP");
  const base = BASE.find((one) => one.kind === "ConfigMap");
  const { metadata } = await only(`${at}/configmap.yaml`);
  assert.deepEqual(metadata, base.metadata, "it takes the place of the other");
  assert.ok(shipped("README.md").includes("--from-file=nats-password"), "the README makes the password's secret");
});

test("shipped users are enough for a node", { timeout: 60_000 }, async (t) => {
  const conf = `${inRepository("config/nats.conf").replace(/^(listen|http|.*store_dir):.*$/gm, "")}\n${inRepository("config/nats-users.conf")}`;
  const env = { HUB_PASSWORD: "hub-1e5", PUBLISHER_PASSWORD: "publisher-1", CONSUMER_PASSWORD: "consumer-1" };
  const nats = await startNats(t, { conf, env });
  const hub = new Hub();
  t.after(() => hub.stop());
  const file = path.join(hub.dir, "password");
  writeFileSync(file, env.HUB_PASSWORD, { mode: 0o600 });
  const recovery = { "socketio.recovery": { window: "1m" } };
  hub.configure({ ...MEETINGS, ...SHARED, ...recovery, nats: { url: nats.url, user: "hub", password_file: file }, cluster: { enabled: true } });
  await hub.start();
  const publisher = await openService(t, nats, [], { user: "publisher", pass: env.PUBLISHER_PASSWORD });
  const meeting = await newMeeting(hub, mint("dora"), ["ann"]);
  const ask = () => publisher.request(`exedra.in.meetings.${meeting}.phase`, { phase: "voting", status: "active" });
  await until(async () => (await ask().catch(() => ({}))).ok, { within: 20_000, what: "an injected event to be taken" });
  assert.deepEqual(hub.program.lines.filter((line) => /permission/i.test(line)), []);
});
