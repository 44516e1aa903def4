// What examples/deploy gives to operators holds together: configurations pass the hub's own check, files that are mounted
// exist, times and sizes fit each other, and the compose configuration serves beside a real nats-server. Nothing here
// runs Docker, Kubernetes, nginx, Caddy or systemd: of their side the structure is checked.
// Needs: Python, Nats, Prometheus.

import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { bytes, DEPLOY, files, seconds, setting, shipped, unit, unpinned, withoutComments, yaml } from "./harness/deploy.mjs";
import { exedra, ROOT, startHub } from "./harness/hub.mjs";
import { freePort, listening, Program, run, tool } from "./harness/process.mjs";
import { promtool } from "./harness/prometheus.mjs";
import { until } from "./harness/wait.mjs";

/** What the hub may take after `server.drain`: core/server/src/app.rs and drain.rs. */
const AFTER_DRAIN = 25;
/** For how long the hub keeps a silent connection of a proxy: core/gateway/src/listener.rs. */
const KEPT_ALIVE = 10;
const USER = 10001;

const inRepository = (file) => readFileSync(path.join(ROOT, file), "utf8");
const COMPOSE = (await yaml(shipped("docker/compose.yml")))[0];
const KUBERNETES = {};
for (const file of files(path.join(DEPLOY, "kubernetes"))) KUBERNETES[file] = await yaml(shipped(`kubernetes/${file}`));
const objects = Object.values(KUBERNETES).flat();
const object = (kind, name = "exedra") => objects.find((one) => one.kind === kind && one.metadata?.name === name);

/** The configurations, by who uses them. */
const CONFIGURATIONS = {
  systemd: inRepository("config/production.toml"),
  compose: shipped("docker/hub/exedra.toml"),
  kubernetes: object("ConfigMap").data["exedra.toml"],
};

function folder(t) {
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-deploy-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function secret(dir, name, text) {
  const file = path.join(dir, name);
  writeFileSync(file, `${text}\n`, { mode: 0o640 });
  return file;
}

/** Arguments that put secrets, plugins and the store where this machine has them. */
function elsewhere(dir, toml) {
  const sets = {
    "auth.secret_file": secret(dir, "jwt-secret", "a-secret-of-this-test-that-is-long-enough"),
    "store.path": path.join(dir, "store.redb"),
    "plugins.dir": tool("EXEDRA_BIN_DIR"),
  };
  if (setting(toml, "token_file")) sets["admin.token_file"] = secret(dir, "admin-token", "a-token-of-this-test");
  if (setting(toml, "password_file")) sets["nats.password_file"] = secret(dir, "nats-password", "nats-1e5");
  const file = path.join(dir, "exedra.toml");
  writeFileSync(file, toml);
  return ["-c", file, ...Object.entries(sets).flatMap(([key, value]) => ["--set", `${key}="${value}"`])];
}

for (const [user, toml] of Object.entries(CONFIGURATIONS)) {
  test(`configuration of ${user} passes`, async (t) => {
    const good = await run(exedra(), ["config", "check", ...elsewhere(folder(t), toml)]);
    assert.equal(good.code, 0, good.stderr);
    const spoilt = toml.replace("connections_per_ip", "conections_per_ip");
    const bad = await run(exedra(), ["config", "check", ...elsewhere(folder(t), spoilt)]);
    assert.equal(bad.code, 2, "an unknown key is found");
    assert.match(bad.stderr, /conections_per_ip/);
  });
}

test("secret of the example is refused", async (t) => {
  const dir = folder(t);
  const { stringData } = object("Secret");
  assert.deepEqual(Object.keys(stringData).sort(), ["admin-token", "jwt-secret"]);
  const keys = { "jwt-secret": "auth.secret_file", "admin-token": "admin.token_file" };
  for (const [name, key] of Object.entries(keys)) {
    const sets = ["--set", `${key}="${secret(dir, `example-${name}`, stringData[name])}"`];
    const { code, stderr } = await run(exedra(), ["config", "check", ...elsewhere(dir, CONFIGURATIONS.kubernetes), ...sets]);
    assert.equal(code, 2, name);
    assert.ok(stderr.includes(key), stderr);
  }
});

test("every YAML file is read", async () => {
  const all = files().filter((file) => /\.ya?ml$/.test(file));
  assert.ok(all.length >= 10, `${all}`);
  for (const file of all) {
    const documents = await yaml(shipped(file));
    assert.ok(documents.every((one) => one && typeof one === "object"), file);
  }
  await assert.rejects(yaml("a: [1"), "a broken one is found");
  await assert.rejects(yaml("a: 1\na: 2"), /twice/);
});

test("images say their version", async () => {
  const dockerfile = shipped("docker/Dockerfile");
  const images = [
    ...Object.values(COMPOSE.services).map((service) => service.image),
    ...[...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image),
    ...object("StatefulSet").spec.template.spec.containers.map((container) => container.image),
  ];
  assert.ok(images.length >= 7, `${images}`);
  assert.deepEqual(images.filter(unpinned), []);
  for (const bad of ["nats", "nats:latest", "nats:2", "nats:alpine"]) assert.ok(unpinned(bad), bad);

  const version = /^version = "(.+)"$/m.exec(inRepository("Cargo.toml"))[1];
  const own = images.filter((image) => image.startsWith("exedra:"));
  assert.deepEqual(new Set(own), new Set([`exedra:${version}`]));
  const [{ images: chosen }] = KUBERNETES["kustomization.yaml"];
  assert.deepEqual(chosen.map((one) => [one.name, one.newTag]), [["exedra", version]]);
  const minor = (text) => Number(/1\.(\d+)/.exec(text)[1]);
  const asked = /^rust-version = "(.+)"$/m.exec(inRepository("Cargo.toml"))[1];
  assert.ok(minor(/^FROM rust:(\S+)/m.exec(dockerfile)[1]) >= minor(asked), "the builder's Rust is new enough");
});

test("image has what it copies", () => {
  const dockerfile = shipped("docker/Dockerfile");
  const ignored = shipped("docker/Dockerfile.dockerignore").split("\n").filter((line) => line && !line.startsWith("#"));
  assert.equal(ignored[0], "*", "all but what is named stays out");
  const sent = ignored.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  for (const file of sent) assert.ok(existsSync(path.join(ROOT, file)), file);
  assert.ok(!sent.some((file) => file.includes("secrets") || file.startsWith(".git")), `${sent}`);
  for (const [, file] of dockerfile.matchAll(/^COPY (?:--chmod=\d+ )?(examples\/\S+)/gm)) {
    assert.ok(sent.includes(file) && existsSync(path.join(ROOT, file)), file);
  }
  for (const [, crate] of dockerfile.matchAll(/-p (exedra[\w-]*)/g)) {
    const home = crate === "exedra" ? "core/server" : `plugins/${crate.slice("exedra-".length)}`;
    assert.match(inRepository(`${home}/Cargo.toml`), new RegExp(`^name = "${crate}"$`, "m"));
  }
  const libraries = [...dockerfile.matchAll(/release\/lib(\w+)\.so/g)].map(([, name]) => name.replaceAll("_", "-"));
  for (const [user, toml] of Object.entries(CONFIGURATIONS)) {
    for (const [, plugin] of toml.matchAll(/^\[plugins\.([\w-]+)\]$/gm)) assert.ok(libraries.includes(plugin), `${user}: ${plugin}`);
  }
  assert.match(dockerfile, new RegExp(`^USER ${USER}:${USER}$`, "m"));
  assert.ok(dockerfile.lastIndexOf("\nUSER ") > dockerfile.lastIndexOf("\nRUN "), "nothing runs as root at the end");
  assert.ok(statSync(path.join(DEPLOY, "docker/healthcheck")).mode & 0o100, "it can be executed");
});

test("compose mounts what exists", async () => {
  const at = path.join(DEPLOY, "docker");
  const volumes = Object.keys(COMPOSE.volumes);
  for (const [name, service] of Object.entries(COMPOSE.services)) {
    for (const mount of service.volumes ?? []) {
      const [source, target] = mount.split(":");
      const here = source.startsWith(".") ? existsSync(path.resolve(at, source)) : volumes.includes(source);
      assert.ok(here && target.startsWith("/"), `${name}: ${mount}`);
    }
    for (const given of service.secrets ?? []) assert.ok(COMPOSE.secrets[given], `${name}: ${given}`);
    for (const needed of Object.keys(Object(service.depends_on))) {
      const other = Array.isArray(service.depends_on) ? service.depends_on[needed] : needed;
      assert.ok(COMPOSE.services[other], `${name}: ${other}`);
    }
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, `${name} is on loopback only`);
  }
  const { build, secrets: given } = COMPOSE.services.hub;
  assert.equal(path.resolve(at, build.context), path.resolve(ROOT));
  assert.ok(existsSync(path.join(ROOT, build.dockerfile)));
  const named = [...CONFIGURATIONS.compose.matchAll(/"\/run\/secrets\/([\w-]+)"/g)].map(([, name]) => name);
  assert.deepEqual(named.sort(), [...given].sort(), "the hub is given the secrets that it names");
  const subnet = COMPOSE.networks.default.ipam.config[0].subnet;
  assert.ok(CONFIGURATIONS.compose.includes(`\ntrusted_proxies = ["${subnet}"]\n`), subnet);

  const readme = shipped("README.md");
  for (const [name, { file }] of Object.entries(COMPOSE.secrets)) {
    assert.equal(file, `./secrets/${name}`);
    assert.ok(readme.includes(`secrets/${name}`), `the README makes ${name}`);
  }
  const kept = await run("git", ["check-ignore", "-q", path.join(at, "secrets/jwt-secret")], { cwd: ROOT });
  assert.equal(kept.code, 0, "git does not take the secrets");
});

test("copies follow their originals", async (t) => {
  const scrape = async (file) => (await yaml(file))[0];
  const prometheus = await scrape(shipped("docker/prometheus.yml"));
  assert.deepEqual(prometheus.scrape_configs[0].static_configs, [{ targets: ["hub:9464"] }]);
  prometheus.scrape_configs[0].static_configs = [{ targets: ["127.0.0.1:9464"] }];
  assert.deepEqual(prometheus, await scrape(inRepository("dashboards/prometheus.yml")));

  const source = await scrape(shipped("docker/grafana-datasource.yml"));
  assert.equal(source.datasources[0].url, "http://prometheus:9090");
  source.datasources[0].url = "http://127.0.0.1:9090";
  assert.deepEqual(source, await scrape(inRepository("dashboards/grafana/provisioning/datasources/exedra.yml")));
  const [provider] = (await scrape(inRepository("dashboards/grafana/provisioning/dashboards/exedra.yml"))).providers;
  const mounted = COMPOSE.services.grafana.volumes.find((mount) => mount.includes("dashboards/grafana:")).split(":")[1];
  assert.ok(provider.options.path.startsWith(mounted), "the provider looks where the pages are mounted");
  assert.equal(COMPOSE.services.grafana.environment.GF_PATHS_PROVISIONING, `${mounted}/provisioning`);

  const dir = folder(t);
  copyFileSync(path.join(DEPLOY, "docker/prometheus.yml"), path.join(dir, "prometheus.yml"));
  copyFileSync(path.join(ROOT, "dashboards/alerts.yml"), path.join(dir, "alerts.yml"));
  const { code, said } = await promtool(["check", "config", "prometheus.yml"], { cwd: dir });
  assert.equal(code, 0, said);
});

test("nobody is killed while draining", () => {
  const service = Object.fromEntries(unit(shipped("systemd/exedra.service")).map(([, key, value]) => [key, value]));
  const pod = object("StatefulSet").spec.template.spec;
  const [, pause] = pod.containers[0].lifecycle.preStop.exec.command;
  const given = {
    systemd: seconds(service.TimeoutStopSec),
    compose: seconds(COMPOSE.services.hub.stop_grace_period),
    kubernetes: pod.terminationGracePeriodSeconds - Number(pause),
  };
  for (const [user, time] of Object.entries(given)) {
    const drain = seconds(setting(CONFIGURATIONS[user], "drain"));
    assert.ok(time > drain + AFTER_DRAIN, `${user}: ${time}s for a drain of ${drain}s`);
  }
});

test("limits leave room for connections", () => {
  const service = Object.fromEntries(unit(shipped("systemd/exedra.service")).map(([, key, value]) => [key, value]));
  const open = { systemd: Number(service.LimitNOFILE), compose: COMPOSE.services.hub.ulimits.nofile };
  for (const [user, limit] of Object.entries(open)) {
    assert.ok(limit > Number(setting(CONFIGURATIONS[user], "connections")) + 500, user);
  }
  // 2.2 KiB for each idle connection, as in sizing.md, and ten times that for what is under way.
  const memory = {
    systemd: bytes(service.MemoryMax),
    compose: bytes(COMPOSE.services.hub.mem_limit),
    kubernetes: bytes(object("StatefulSet").spec.template.spec.containers[0].resources.limits.memory),
  };
  for (const [user, limit] of Object.entries(memory)) {
    assert.ok(limit > Number(setting(CONFIGURATIONS[user], "connections")) * 2.2 * 1024 * 10, user);
  }
});

test("unit keeps to what systemd knows", () => {
  const known = {
    Unit: ["Description", "Wants", "After"],
    Install: ["WantedBy"],
    Service: `Type NotifyAccess ExecStart ExecReload Restart RestartSec RestartPreventExitStatus TimeoutStartSec TimeoutStopSec
      KillMode DynamicUser User UMask StateDirectory StateDirectoryMode WorkingDirectory Environment LoadCredential LimitNOFILE
      LimitCORE MemoryHigh MemoryMax NoNewPrivileges CapabilityBoundingSet AmbientCapabilities ProtectSystem ProtectHome
      PrivateTmp PrivateDevices PrivateUsers ProtectProc ProtectClock ProtectControlGroups ProtectHostname ProtectKernelLogs
      ProtectKernelModules ProtectKernelTunables RemoveIPC RestrictAddressFamilies RestrictNamespaces RestrictRealtime
      RestrictSUIDSGID LockPersonality MemoryDenyWriteExecute SystemCallArchitectures SystemCallFilter SystemCallErrorNumber`.split(/\s+/),
  };
  const rows = unit(shipped("systemd/exedra.service"));
  for (const [section, key] of rows) assert.ok(known[section]?.includes(key), `[${section}] ${key}`);
  const values = (wanted) => rows.filter(([, key]) => key === wanted).map(([, , value]) => value);
  const hardened = { Type: "notify", DynamicUser: "yes", ProtectSystem: "strict", NoNewPrivileges: "yes", CapabilityBoundingSet: "" };
  for (const [key, value] of Object.entries(hardened)) assert.deepEqual(values(key), [value], key);

  const credentials = values("LoadCredential").map((one) => one.split(":")[0]);
  for (const one of values("Environment")) {
    const [, name, value] = /^(EXEDRA_[A-Z_]+)=(\S+)$/.exec(one);
    if (value.startsWith("%d/")) assert.ok(credentials.includes(value.slice(3)), one);
    const keys = name.slice("EXEDRA_".length).toLowerCase().split("__");
    assert.ok(hasSetting(keys), `${name} is a setting`);
  }
  assert.equal(setting(CONFIGURATIONS.systemd, "path"), `/var/lib/${values("StateDirectory")[0]}/exedra.redb`);
});

function hasSetting(keys) {
  let place = JSON.parse(inRepository("config/exedra.schema.json"));
  for (const key of keys) place = place?.properties?.[key];
  return place !== undefined;
}

test("hub tells its service manager", { timeout: 60_000 }, async (t) => {
  const socket = path.join(folder(t), "notify");
  const listen = `
import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print("bound", flush=True)
while True:
    print(manager.recv(4096).decode().replace(chr(10), " "), flush=True)
`;
  const manager = new Program(tool("PYTHON"), ["-c", listen, socket]);
  t.after(() => manager.end());
  const told = (words) => {
    const what = () => `${words}; heard ${manager.lines}`;
    return until(() => manager.lines.some((line) => line.includes(words)), { within: 15_000, what });
  };
  await told("bound");
  process.env.NOTIFY_SOCKET = socket;
  t.after(() => delete process.env.NOTIFY_SOCKET);
  const hub = await startHub(t);
  await told("READY=1");
  assert.ok(!manager.lines.some((line) => line.includes("STOPPING=1")));
  const { code } = await hub.kill("SIGTERM");
  assert.equal(code, 0);
  await told("STOPPING=1");
  assert.equal(manager.lines.filter((line) => line.includes("READY=1")).length, 1, "it is ready once");
});

test("proxies wait longer than heartbeats", () => {
  const nginx = withoutComments(shipped("proxy/nginx.conf"));
  const caddy = withoutComments(shipped("proxy/Caddyfile"));
  assert.throws(() => withoutComments("http { server { }"));
  const toml = CONFIGURATIONS.systemd;
  const quiet = seconds(setting(toml, "ping_interval")) + seconds(setting(toml, "ping_timeout"));
  const of = (text, name) => new RegExp(`\\b${name} ([^;\\n]+)`).exec(text)?.[1].trim();
  for (const name of ["proxy_read_timeout", "proxy_send_timeout"]) assert.ok(seconds(of(nginx, name)) > quiet, name);
  assert.ok(seconds(of(caddy, "response_header_timeout")) > quiet);
  assert.ok(seconds(of(nginx, "keepalive_timeout")) < KEPT_ALIVE);
  assert.ok(seconds(of(caddy, "keepalive")) < KEPT_ALIVE);
  const largest = bytes(setting(toml, "max_payload"));
  assert.ok(bytes(of(nginx, "client_max_body_size")) >= largest);
  assert.ok(bytes(of(caddy, "max_size")) >= largest);
  const listen = setting(toml, "listen");
  assert.ok(nginx.includes(`server ${listen};`) && caddy.includes(`reverse_proxy ${listen} {`), listen);
  for (const line of [
    "proxy_http_version 1.1;",
    "proxy_buffering off;",
    "proxy_set_header Upgrade $http_upgrade;",
    "proxy_set_header Host $http_host;",
    "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
  ]) {
    assert.ok(nginx.includes(line), line);
  }
  const sockets = Number(of(nginx, "worker_connections"));
  assert.ok(Number(of(nginx, "worker_rlimit_nofile")) >= sockets);
  assert.ok(!/\$request\b|\$args|\$query_string|request_uri["' ]/.test(of(nginx, "log_format")), "no query in the log");
  assert.ok(!nginx.includes("9464") && !caddy.includes("9464"), "the admin listener is not passed on");
});

test("Kubernetes objects fit together", () => {
  const kinds = "Namespace ConfigMap Secret Service StatefulSet PodDisruptionBudget NetworkPolicy ServiceMonitor";
  for (const kind of kinds.split(" ")) {
    assert.ok(object(kind), kind);
  }
  const [{ resources }] = KUBERNETES["kustomization.yaml"];
  const others = ["kustomization.yaml", "secret.example.yaml", "servicemonitor.yaml"];
  assert.deepEqual([...resources, ...others].sort(), Object.keys(KUBERNETES).sort());

  const { spec } = object("StatefulSet");
  const { labels } = spec.template.metadata;
  const chosen = (selector) => Object.entries(selector).every(([key, value]) => labels[key] === value);
  const services = objects.filter((one) => one.kind === "Service");
  for (const selector of [
    spec.selector.matchLabels,
    object("PodDisruptionBudget").spec.selector.matchLabels,
    object("NetworkPolicy").spec.podSelector.matchLabels,
    ...services.map((service) => service.spec.selector),
  ]) {
    assert.ok(chosen(selector), JSON.stringify(selector));
  }
  assert.ok(object("Service", spec.serviceName), "the StatefulSet's own service");

  const [hub] = spec.template.spec.containers;
  const ports = Object.fromEntries(hub.ports.map((port) => [port.name, port.containerPort]));
  const port = (key) => Number(setting(CONFIGURATIONS.kubernetes.slice(CONFIGURATIONS.kubernetes.indexOf(key)), "listen").split(":")[1]);
  assert.deepEqual(ports, { public: port("[server]"), admin: port("[admin]") });
  for (const service of services) assert.ok(ports[service.spec.ports[0].targetPort], service.metadata.name);
  for (const { ports: open } of object("NetworkPolicy").spec.ingress) assert.ok(ports[open[0].port]);
  const probes = [hub.startupProbe, hub.livenessProbe, hub.readinessProbe].map((probe) => probe.httpGet);
  assert.deepEqual(probes.map((probe) => `${probe.port}${probe.path}`), ["admin/livez", "admin/livez", "admin/readyz"]);

  const mounted = Object.fromEntries(hub.volumeMounts.map((mount) => [mount.name, mount.mountPath]));
  const volumes = [...spec.template.spec.volumes, ...spec.volumeClaimTemplates.map((claim) => claim.metadata)].map((one) => one.name);
  assert.deepEqual(Object.keys(mounted).sort(), volumes.sort());
  assert.equal(hub.args.at(-1), `${mounted.config}/exedra.toml`);
  const toml = CONFIGURATIONS.kubernetes;
  assert.equal(path.dirname(setting(toml, "path")), mounted.data);
  const named = [...toml.matchAll(/^\w+_file = "(.+)"$/gm)].map(([, file]) => path.relative(mounted.secrets, file));
  assert.deepEqual(named.sort(), Object.keys(object("Secret").stringData).sort());

  const pod = spec.template.spec.securityContext;
  assert.deepEqual([pod.runAsNonRoot, pod.runAsUser, pod.fsGroup], [true, USER, USER]);
  const mode = spec.template.spec.volumes.find((volume) => volume.name === "secrets").secret.defaultMode;
  assert.equal(mode & 0o037, 0, "the hub takes secrets of this mode");
  assert.deepEqual(hub.securityContext.capabilities.drop, ["ALL"]);
  assert.ok(hub.securityContext.readOnlyRootFilesystem && !hub.securityContext.allowPrivilegeEscalation);

  const monitor = object("ServiceMonitor");
  const admin = object("Service", "exedra-admin").metadata.labels;
  for (const [key, value] of Object.entries(monitor.spec.selector.matchLabels)) assert.equal(admin[key], value);
  const job = admin[monitor.spec.jobLabel];
  assert.ok(inRepository("dashboards/alerts.yml").includes(`up{job="${job}"}`), "the alerts look for this job");
});

test("alert rules become an object", async () => {
  const [, command] = /^(\{ printf 'apiVersion[^|]+)\| kubectl/m.exec(shipped("README.md"));
  const { code, stdout, stderr } = await run("bash", ["-c", command], { cwd: ROOT });
  assert.equal(code, 0, stderr);
  const [rule] = await yaml(stdout);
  assert.equal(rule.kind, "PrometheusRule");
  assert.deepEqual(rule.spec, (await yaml(inRepository("dashboards/alerts.yml")))[0]);
});

test("compose configuration serves beside NATS", { timeout: 60_000 }, async (t) => {
  const dir = folder(t);
  const natsPort = await freePort();
  const conf = shipped("docker/nats.conf").replace("0.0.0.0:4222", `127.0.0.1:${natsPort}`).replace("127.0.0.1:8222", "127.0.0.1:0");
  writeFileSync(path.join(dir, "nats.conf"), conf);
  // Such passwords would be numbers without their first letters.
  const env = { HUB_PASSWORD: "nats-1e5", SERVICE_PASSWORD: "nats-20" };
  const nats = new Program(tool("NATS_SERVER"), ["-c", path.join(dir, "nats.conf")], { env });
  t.after(() => nats.end());
  await listening(nats, natsPort);

  const portsFile = path.join(dir, "ports.json");
  const here = [
    'server.listen="127.0.0.1:0"',
    'admin.listen="127.0.0.1:0"',
    `nats.url="nats://127.0.0.1:${natsPort}"`,
  ].flatMap((set) => ["--set", set]);
  const args = ["serve", ...elsewhere(dir, CONFIGURATIONS.compose), ...here, "--ports-file", portsFile];
  const hub = new Program(exedra(), args, { cwd: dir });
  t.after(() => hub.end());
  const written = () => {
    hub.assertAlive();
    return existsSync(portsFile); // written whole or not at all
  };
  await until(written, { within: 15_000, what: () => `the hub to write its ports:\n${hub.log()}` });
  const adminPort = JSON.parse(readFileSync(portsFile, "utf8")).admin.split(":").pop();
  const healthcheck = (page) => run(path.join(DEPLOY, "docker/healthcheck"), [page, adminPort]);
  await until(
    async () => {
      hub.assertAlive();
      return (await healthcheck("/readyz")).code === 0;
    },
    { within: 15_000, what: () => `the hub to be ready:\n${hub.log()}` },
  );
  assert.equal((await healthcheck("/livez")).code, 0);
  const missing = await healthcheck("/no/such");
  assert.deepEqual([missing.code, /problem|no such page/.test(missing.stdout)], [1, true], missing.stdout);

  await nats.end();
  const down = () => healthcheck("/readyz").then(({ code, stdout }) => code === 1 && stdout);
  const said = await until(down, { within: 15_000, what: "the check to notice that the bus is away" });
  assert.match(said, /not connected/);
  assert.equal((await healthcheck("/livez")).code, 0, "it is alive all the same");
  const { code } = await hub.end("SIGTERM");
  assert.equal(code, 0, hub.log());
  assert.equal((await healthcheck("/livez")).code, 1, "nobody is there any more");
});

test("documents name every file", () => {
  const readme = shipped("README.md");
  for (const file of files().filter((one) => one !== "README.md" && !one.startsWith("docker/secrets"))) {
    const name = file.startsWith("kubernetes/") ? path.basename(file) : file;
    assert.ok(readme.includes(name), file);
  }
  for (const document of ["README.md", "sizing.md"]) {
    for (const [, target] of shipped(document).matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)) {
      assert.ok(existsSync(path.join(DEPLOY, target)), `${document}: ${target}`);
    }
  }
  assert.ok(inRepository("README.md").includes("examples/deploy/README.md"));
});
