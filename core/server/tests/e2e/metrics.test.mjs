// What Prometheus sees: a page that promtool accepts, counters that start at 0, and a real Prometheus that scrapes it
// with the scrape configuration we ship.
// Needs: Prometheus.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { connectClient, newMeeting } from "./harness/client.mjs";
import { MEETINGS, ROOT, startHub } from "./harness/hub.mjs";
import { freePort, listening, Program, run, tool } from "./harness/process.mjs";
import { mint } from "./harness/tokens.mjs";
import { until } from "./harness/wait.mjs";

/** Written on the scrape configuration we ship. */
const SHIPPED_TARGET = "127.0.0.1:9464";

const FAMILIES = [
  "exedra_build_info",
  "exedra_connections",
  "exedra_connects_total",
  "exedra_connect_refusals_total",
  "exedra_disconnects_total",
  "exedra_rooms",
  "exedra_room_members",
  "exedra_events_received_total",
  "exedra_events_delivered_total",
  "exedra_events_dropped_total",
  "exedra_bytes_total",
  "exedra_delivery_seconds",
  "exedra_outbound_queue_bytes",
  "exedra_slow_links_total",
  "exedra_bus_up",
  "exedra_bus_reconnects_total",
  "exedra_bus_messages_total",
  "exedra_dead_letters_total",
  "exedra_store_commit_seconds",
  "exedra_store_batch_size",
  "exedra_auth_failures_total",
  "exedra_rate_limited_total",
  "exedra_plugin_up",
  "exedra_plugin_calls_total",
  "exedra_plugin_call_seconds",
  "exedra_plugin_panics_total",
  "exedra_plugin_generation",
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "process_open_fds",
];

const page = async (hub) => {
  const response = await fetch(`${hub.admin}/metrics`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
  return response.text();
};

/** Ann joins a meeting, so that there is something to count. */
async function someTraffic(t, hub) {
  const meeting = await newMeeting(hub, mint("dora"), ["ann"]);
  const ann = await connectClient(t, hub, { token: mint("ann") });
  assert.equal((await ann.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  return ann;
}

async function promtool(text) {
  const checked = await run(tool("PROMTOOL"), ["check", "metrics"], { input: text });
  assert.equal(checked.code, 0, `promtool: ${checked.stdout}${checked.stderr}`);
}

test("promtool accepts the page", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  await promtool(await page(hub));
  await someTraffic(t, hub);
  await promtool(await page(hub));
});

test("promtool control objects", { timeout: 60_000 }, async () => {
  const checked = await run(tool("PROMTOOL"), ["check", "metrics"], { input: "exedra_x{ 1\n" });
  assert.notEqual(checked.code, 0);
});

test("counters exist at zero", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  const text = await page(hub);
  const declared = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]));
  assert.deepEqual(FAMILIES.filter((family) => !declared.has(family)), [], "every promised metric is there");
  const samples = await hub.metrics();
  const sampled = (family) => [...samples.keys()].some((key) => key.startsWith(family));
  assert.deepEqual(FAMILIES.filter((family) => !sampled(family)), [], "and has a sample from the start");
  for (const [key, value] of samples) {
    if (/^exedra_(connects|disconnects|events|dead_letters|slow|auth|connect_refusals)\w*_total/.test(key)) {
      assert.equal(value, 0, key);
    }
  }
  for (const line of text.split("\n").filter((one) => one.startsWith("# TYPE"))) {
    const [, , name, kind] = line.split(" ");
    assert.equal(name.endsWith("_total"), kind === "counter", line);
  }
});

test("traffic is counted", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  const ann = await someTraffic(t, hub);
  assert.equal(await hub.total("exedra_connections"), 1);
  assert.equal(await hub.total("exedra_connects_total"), 1);
  assert.ok((await hub.total("exedra_events_received_total")) >= 1);
  assert.ok((await hub.total("exedra_events_delivered_total")) >= 1);
  assert.ok((await hub.total("exedra_bytes_total")) > 0);
  assert.equal(await hub.total("exedra_room_members"), 1);
  ann.disconnect();
  await until(async () => (await hub.total("exedra_disconnects_total")) === 1, { what: "the end to be counted" });
  assert.equal(await hub.total("exedra_connections"), 0);
  assert.equal(await hub.total("exedra_room_members"), 0);
});

test("no label takes a user's value", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  await someTraffic(t, hub);
  const before = (await hub.metrics()).size;
  for (let number = 0; number < 50; number += 1) {
    const bob = await connectClient(t, hub, { token: mint(`user-${number}`) });
    bob.emit(`made-up-${number}`, {});
    bob.emit("join_meeting", { meetingId: `made-up-${number}` });
    await bob.emitWithAck("get_participants", { meetingId: `made-up-${number}` });
    await fetch(`${hub.url}/made-up-${number}`);
    bob.disconnect();
  }
  const after = await hub.metrics();
  assert.deepEqual([...after.keys()].filter((key) => /made-up|user-\d/.test(key)), []);
  assert.ok(after.size - before < 60, `series went from ${before} to ${after.size}`);
});

test("real Prometheus scrapes the hub", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  await someTraffic(t, hub);
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-prometheus-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const shipped = readFileSync(path.join(ROOT, "dashboards/prometheus.yml"), "utf8");
  assert.ok(shipped.includes(SHIPPED_TARGET));
  const config = path.join(dir, "prometheus.yml");
  const sooner = shipped.replaceAll(/(scrape_interval|scrape_timeout|evaluation_interval): \S+/g, "$1: 1s");
  writeFileSync(config, sooner.replace(SHIPPED_TARGET, new URL(hub.admin).host));

  const port = await freePort();
  const prometheus = new Program(tool("PROMETHEUS"), [
    `--config.file=${config}`,
    `--storage.tsdb.path=${dir}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  t.after(() => prometheus.end());
  await listening(prometheus, port);

  const query = async (expression) => {
    const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
    const answer = await fetch(url).then((response) => response.json(), () => undefined);
    return answer?.data?.result ?? [];
  };
  const value = async (expression) => (await query(expression)).map((one) => Number(one.value[1]));
  await until(async () => (await query("exedra_build_info")).length === 1, {
    within: 30_000,
    what: () => `exedra_build_info:\n${prometheus.log()}`,
  });
  const [build] = await query("exedra_build_info");
  assert.match(build.metric.version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(await value("up"), [1]);
  assert.deepEqual(await value("sum(exedra_connections)"), [1]);
});

test("shipped scrape file is valid", { timeout: 60_000 }, async () => {
  const file = path.join(ROOT, "dashboards/prometheus.yml");
  const checked = await run(tool("PROMTOOL"), ["check", "config", file]);
  assert.equal(checked.code, 0, `promtool: ${checked.stdout}${checked.stderr}`);
});
