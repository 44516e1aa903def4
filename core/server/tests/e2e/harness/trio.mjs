// Three nats-servers with the configuration that examples/deploy gives them, and hubs with theirs, moved to this machine's
// ports, folders and plugins.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { shipped } from "./deploy.mjs";
import { Hub } from "./hub.mjs";
import { freePort, listening, Program, tool } from "./process.mjs";
import { SECRET } from "./tokens.mjs";
import { pause, until } from "./wait.mjs";

export const PASSWORDS = { HUB_PASSWORD: "hub-1e5", SERVICE_PASSWORD: "service-20", ROUTE_PASSWORD: "route-3e1" };
const NAMES = ["nats-1", "nats-2", "nats-3"];

/** Replaces what must be there once; a file that has changed is noticed. */
function moved(text, changes) {
  for (const [from, to] of changes) {
    if (text.split(from).length !== 2) throw new Error(`there is not one ${from}`);
    text = text.replace(from, to);
  }
  return text;
}

class Server {
  constructor(name, ports, routes) {
    Object.assign(this, { name, ...ports });
    this.dir = mkdtempSync(path.join(tmpdir(), `exedra-${name}-`));
    this.url = `nats://127.0.0.1:${this.port}`;
    this.monitor = `http://127.0.0.1:${this.monitorPort}`;
    this.env = { ...PASSWORDS, NATS_NAME: name };
    for (const [at, route] of routes.entries()) {
      this.env[`ROUTE_${at + 1}`] = `nats-route://route:${PASSWORDS.ROUTE_PASSWORD}@127.0.0.1:${route}`;
    }
    this.file = path.join(this.dir, "nats.conf");
    const changes = [
      ["0.0.0.0:4222", `127.0.0.1:${this.port}`],
      ["0.0.0.0:8222", `127.0.0.1:${this.monitorPort}`],
      ["0.0.0.0:6222", `127.0.0.1:${this.routePort}`],
      ['"/data"', JSON.stringify(path.join(this.dir, "store"))],
    ];
    writeFileSync(this.file, moved(shipped("docker/nats-cluster.conf"), changes));
  }

  async start() {
    this.program = new Program(tool("NATS_SERVER"), ["-c", this.file], { env: this.env });
    await listening(this.program, this.port);
  }

  kill() {
    return this.program.end("SIGKILL");
  }

  /** A page of its monitoring data. */
  async page(name) {
    return (await fetch(`${this.monitor}/${name}`)).json();
  }
}

/** Three servers that know each other. */
export async function startTrio(t) {
  const ports = [];
  for (const _ of NAMES) ports.push({ port: await freePort(), monitorPort: await freePort(), routePort: await freePort() });
  const servers = NAMES.map((name, at) => new Server(name, ports[at], ports.map((one) => one.routePort)));
  t.after(async () => {
    for (const server of servers) {
      await server.program?.end();
      rmSync(server.dir, { recursive: true, force: true });
    }
  });
  await Promise.all(servers.map((server) => server.start()));
  const well = async (server) => {
    await pause(100); // they log each question
    return (await server.page("healthz").catch(() => ({}))).status === "ok";
  };
  await until(async () => (await Promise.all(servers.map(well))).every(Boolean), {
    within: 20_000,
    what: () => `the servers to be well:\n${servers[0].program.log()}`,
  });
  return servers;
}

/** How the streams are: by name, their leader and the copies that are current. Only a leader knows about the others. */
export async function streams(servers) {
  const led = servers.map(async (server) => {
    const { account_details: accounts = [] } = await server.page("jsz?streams=true&accounts=true").catch(() => ({}));
    const all = accounts.flatMap((account) => account.stream_detail ?? []);
    return all.filter(({ cluster }) => cluster?.leader === server.name);
  });
  const current = ({ replicas = [] }) => 1 + replicas.filter((one) => one.current && !one.offline).length;
  return Object.fromEntries((await Promise.all(led)).flat().map(({ name, cluster }) => [
    name,
    { leader: cluster.leader, current: current(cluster) },
  ]));
}

/** A hub with the configuration of compose.cluster.yml. */
export function trioHub(t, servers, name) {
  const hub = new Hub();
  t.after(() => hub.stop());
  const secret = (file, text) => {
    const at = path.join(hub.dir, file);
    writeFileSync(at, text, { mode: 0o600 });
    return JSON.stringify(at);
  };
  const toml = moved(shipped("docker/hub-cluster/exedra.toml"), [
    ["0.0.0.0:3000", "127.0.0.1:0"],
    ["0.0.0.0:9464", "127.0.0.1:0"],
    ['"/run/secrets/jwt-secret"', secret("jwt", SECRET)],
    ['"/run/secrets/nats-password"', secret("nats", PASSWORDS.HUB_PASSWORD)],
    ['token_file = "/run/secrets/admin-token"\n', ""], // on loopback nobody needs one
    ["\nenabled = true\n# `node`", `\nenabled = true\nnode = "${name}"\n# \`node\``],
    ['"/var/lib/exedra/exedra.redb"', JSON.stringify(hub.store)],
    ['"/usr/lib/exedra"', JSON.stringify(tool("EXEDRA_BIN_DIR"))],
    ...NAMES.flatMap((one, at) => [
      [`nats://${one}:4222`, servers[at].url],
      [`http://${one}:8222`, servers[at].monitor],
    ]),
  ]);
  // One plugin is enough here, and the hub starts sooner.
  writeFileSync(hub.config, toml.replace(/\n\[plugins\.(?!meetings)[\w-]+\]\nenabled = true\n/g, ""));
  return hub;
}
