// What Prometheus sees: a page that promtool accepts, counters that start at 0, and a real Prometheus that scrapes it
// with the scrape configuration we ship.
// Needs: Nats, Prometheus.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connectClient, newMeeting } from "./harness/client.mjs";
import { MEETINGS, startHub } from "./harness/hub.mjs";
import { promtool, SHIPPED, startPrometheus } from "./harness/prometheus.mjs";
import { startHouse, traffic } from "./harness/traffic.mjs";
import { mint } from "./harness/tokens.mjs";
import { until } from "./harness/wait.mjs";

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
  "exedra_inject_retries_total",
  "exedra_inject_redeliveries_total",
  "exedra_store_commit_seconds",
  "exedra_store_batch_size",
  "exedra_auth_failures_total",
  "exedra_rate_limited_total",
  "exedra_plugin_up",
  "exedra_plugin_calls_total",
  "exedra_plugin_call_seconds",
  "exedra_plugin_panics_total",
  "exedra_plugin_generation",
  "exedra_recoveries_total",
  "exedra_recoverable_sessions",
  "exedra_recovery_bytes",
  "exedra_cluster_nodes",
  "exedra_cluster_up",
  "exedra_cluster_entries_total",
  "exedra_cluster_parcels_total",
  "exedra_cluster_caught_up_total",
  "exedra_cluster_nodes_lost_total",
  "exedra_cluster_sessions_total",
  "exedra_config_last_reload_successful",
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
  "process_open_fds",
  "process_max_fds",
  "process_start_time_seconds",
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

async function accepted(text) {
  const { code, said } = await promtool(["check", "metrics"], { input: text });
  assert.equal(code, 0, `promtool: ${said}`);
  assert.equal(said, "");
}

test("promtool accepts the page", { timeout: 60_000 }, async (t) => {
  const hub = await startHub(t, MEETINGS);
  await accepted(await page(hub));
  await someTraffic(t, hub);
  await accepted(await page(hub));
});

test("promtool accepts all plugins", { timeout: 120_000 }, async (t) => {
  const house = await startHouse(t);
  await accepted(await page(house.hub));
  const before = (await house.hub.metrics()).size;
  assert.ok(before < 2_000, `${before} series for five plugins`);
  await traffic(t, house);
  await accepted(await page(house.hub));
  assert.equal((await house.hub.metrics()).size, before, "work makes no series");
});

test("promtool control objects", { timeout: 60_000 }, async () => {
  const pages = ["exedra_x{ 1\n", "# TYPE exedra_x counter\nexedra_x 1\n"];
  for (const input of pages) assert.notEqual((await promtool(["check", "metrics"], { input })).code, 0, input);
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
  const prometheus = await startPrometheus(t, hub);
  const [build] = await prometheus.series("exedra_build_info");
  assert.match(build.metric.version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(await prometheus.values("up"), [1]);
  assert.deepEqual(await prometheus.values("sum(exedra_connections)"), [1]);
});

test("shipped scrape file is valid", { timeout: 60_000 }, async () => {
  const { code, said } = await promtool(["check", "config", "prometheus.yml"], { cwd: SHIPPED });
  assert.equal(code, 0, `promtool: ${said}`);
});
