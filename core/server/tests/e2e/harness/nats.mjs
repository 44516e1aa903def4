// A real nats-server on a port of its own, which can be killed and started again in the same place.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { connect } from "nats";

import { freePort, listening, Program, tool } from "./process.mjs";
import { inTime, until } from "./wait.mjs";

export class NatsServer {
  /** `conf` is the text of a configuration file, `env` its environment; address, ports and folder are given here. */
  constructor({ conf, env } = {}) {
    this.conf = conf;
    this.env = env;
  }

  async start() {
    this.dir ??= mkdtempSync(path.join(tmpdir(), "exedra-nats-"));
    this.port ??= await freePort();
    this.monitorPort ??= await freePort();
    this.url = `nats://127.0.0.1:${this.port}`;
    this.monitor = `http://127.0.0.1:${this.monitorPort}`;
    const args = ["--addr", "127.0.0.1", "--port", String(this.port), "--http_port", String(this.monitorPort)];
    args.push("--jetstream", "--store_dir", path.join(this.dir, "store"));
    if (this.conf) {
      const file = path.join(this.dir, "nats.conf");
      writeFileSync(file, this.conf);
      args.push("-c", file);
    }
    this.program = new Program(tool("NATS_SERVER"), args, { env: this.env });
    await listening(this.program, this.port);
    return this;
  }

  kill() {
    return this.program.end("SIGKILL");
  }

  async stop() {
    await this.program?.end();
    if (this.dir) rmSync(this.dir, { recursive: true, force: true });
  }
}

export async function startNats(t, settings) {
  const server = new NatsServer(settings);
  t.after(() => server.stop());
  return server.start();
}

/** An outside service: publishes, asks, and keeps what it hears on the subjects it listens to. */
export async function openService(t, server, subjects = [], more = {}) {
  const connection = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 100, ...more });
  t.after(() => connection.close());
  const service = { connection, heard: [] };
  for (const subject of subjects) {
    connection.subscribe(subject, {
      callback: (_, message) =>
        service.heard.push({
          subject: message.subject,
          text: message.string(),
          reason: message.headers?.get("Exedra-Reason"),
          headers: message.headers,
        }),
    });
  }
  await connection.flush();
  service.publish = (subject, payload) =>
    connection.publish(subject, typeof payload === "string" ? payload : JSON.stringify(payload));
  service.request = async (subject, payload, timeout = 5_000) => {
    const body = typeof payload === "string" ? payload : JSON.stringify(payload);
    return JSON.parse((await inTime(connection.request(subject, body, { timeout }), timeout, subject)).string());
  };
  /** The first message heard that satisfies `accept`. */
  service.message = (subject, accept = () => true, within = 5_000) =>
    until(() => service.heard.find((one) => one.subject === subject && accept(one)), {
      within,
      what: () => `${subject}; heard ${JSON.stringify(service.heard.map((one) => [one.subject, one.text])).slice(-1500)}`,
    });
  return service;
}
