// Programs under test as child processes: started, watched, always ended.
//
// Each dies with this process whatever happens to it (the kernel sees to that), and each that listens is checked to
// be the one that was started: a leftover of another run must not be able to pass for it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import net from "node:net";

import { until } from "./wait.mjs";

const KEPT_LINES = 400;

/** The path a tool was found at; `cargo xtask test` sets these. */
export function tool(variable) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} is not set: run these tests with \`cargo xtask test\``);
  return path;
}

export class Program {
  constructor(program, args, options = {}) {
    this.name = program.split("/").pop();
    this.lines = [];
    this.child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], {
      stdio: [options.stdin ?? "ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", ...options.env },
      cwd: options.cwd,
    });
    this.exited = once(this.child, "exit").then(([code, signal]) => {
      this.ended = { code, signal };
      return this.ended;
    });
    for (const stream of [this.child.stdout, this.child.stderr]) this.#keep(stream);
  }

  get pid() {
    return this.child.pid;
  }

  /** What it printed last, for a failure's message. */
  log() {
    return this.lines.slice(-40).join("\n");
  }

  /** Throws if it has ended although nobody asked it to. */
  assertAlive() {
    if (this.ended) throw new Error(`${this.name} ended with ${JSON.stringify(this.ended)}:\n${this.log()}`);
  }

  async end(signal = "SIGKILL") {
    if (!this.ended) this.child.kill(signal);
    return this.exited;
  }

  #keep(stream) {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (text) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop();
      this.lines.push(...parts);
      if (this.lines.length > KEPT_LINES) this.lines.splice(0, this.lines.length - KEPT_LINES);
      for (const line of parts) this.child.emit("line", line);
    });
  }
}

/** Runs a program to its end and gives its exit code, stdout and stderr. */
export async function run(program, args, { input, ...options } = {}) {
  const child = spawn(program, args, { stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"], ...options });
  const collect = async (stream) => {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  };
  child.stdin?.on("error", () => {}); // one that has seen enough closes early: its exit code tells
  child.stdin?.end(input);
  const [stdout, stderr, [code]] = await Promise.all([
    collect(child.stdout),
    collect(child.stderr),
    once(child, "close"),
  ]);
  return { code, stdout, stderr };
}

/** A port nobody uses now. */
export async function freePort() {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Waits until `program`, and no other process, listens on the IPv4 port. */
export async function listening(program, port, within = 15_000) {
  await until(
    () => {
      program.assertAlive();
      return ownsListener(program.pid, port);
    },
    { within, what: () => `${program.name} to listen on port ${port}:\n${program.log()}` },
  );
}

/** Whether the process holds the listening socket of the port. */
export function ownsListener(pid, port) {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  const inodes = rows
    .map((row) => row.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(wanted) && columns[3] === "0A")
    .map((columns) => `socket:[${columns[9]}]`);
  if (inodes.length === 0) return false;
  const held = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ""; // closed between the listing and the look
    }
  });
  return inodes.some((inode) => held.includes(inode));
}
