// A real Prometheus with the scrape configuration and the alert rules we ship, only sooner than every fifteen seconds.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { ROOT } from "./hub.mjs";
import { freePort, listening, Program, run, tool } from "./process.mjs";
import { until } from "./wait.mjs";

/** Written on the scrape configuration we ship. */
const SHIPPED_TARGET = "127.0.0.1:9464";

export const SHIPPED = path.join(ROOT, "dashboards");

/** `promtool` with these arguments; gives its exit code and what it said. */
export async function promtool(args, options) {
  const { code, stdout, stderr } = await run(tool("PROMTOOL"), args, options);
  return { code, said: `${stdout}${stderr}` };
}

/** A folder that ends with the test. */
export function folder(t) {
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-prometheus-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Prometheus on the hub, scraped once. */
export async function startPrometheus(t, hub) {
  const dir = folder(t);
  const shipped = readFileSync(path.join(SHIPPED, "prometheus.yml"), "utf8");
  assert.ok(shipped.includes(SHIPPED_TARGET));
  const sooner = shipped.replaceAll(/(scrape_interval|scrape_timeout|evaluation_interval): \S+/g, "$1: 1s");
  writeFileSync(path.join(dir, "prometheus.yml"), sooner.replace(SHIPPED_TARGET, new URL(hub.admin).host));
  copyFileSync(path.join(SHIPPED, "alerts.yml"), path.join(dir, "alerts.yml"));

  const port = await freePort();
  const program = new Program(tool("PROMETHEUS"), [
    `--config.file=${dir}/prometheus.yml`,
    `--storage.tsdb.path=${dir}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  t.after(() => program.end());
  await listening(program, port);
  const prometheus = new Prometheus(`http://127.0.0.1:${port}`, program);
  await until(async () => (await prometheus.series("exedra_build_info")).length === 1, {
    within: 30_000,
    what: () => `exedra_build_info:\n${program.log()}`,
  });
  return prometheus;
}

class Prometheus {
  constructor(url, program) {
    this.url = url;
    this.program = program;
  }

  /** What the API answers: `{status, data}` or `{status, error}`. Undefined while Prometheus starts. */
  ask(route, query = {}) {
    const url = `${this.url}/api/v1/${route}?${new URLSearchParams(query)}`;
    return fetch(url).then((response) => response.json(), () => undefined);
  }

  /** The result of an expression now; a mistake in it is an error. */
  async result(expression) {
    const answer = await this.ask("query", { query: expression });
    if (answer?.status !== "success") throw new Error(`${answer?.error ?? "no answer"}: ${expression}`);
    return answer.data.result;
  }

  /** The same, or nothing while there is no answer. */
  series(expression) {
    return this.result(expression).catch(() => []);
  }

  async values(expression) {
    return (await this.series(expression)).map((one) => Number(one.value[1]));
  }

  /** The alert rules as Prometheus has read them: name, query, annotations, health. */
  async rules() {
    const { data } = await this.ask("rules", { type: "alert" });
    return data.groups.flatMap((group) => group.rules);
  }

  /** Waits for a scrape that began after this moment. */
  async scraped() {
    const since = Date.now();
    const last = async () => (await this.ask("targets"))?.data?.activeTargets[0]?.lastScrape;
    await until(async () => Date.parse((await last()) ?? 0) > since, { within: 15_000, what: "the next scrape" });
    await until(async () => (await this.values("timestamp(up)"))[0] * 1000 >= since, { within: 15_000, what: "its samples" });
  }
}
