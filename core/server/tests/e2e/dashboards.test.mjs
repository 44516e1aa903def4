// The dashboards and alerts we ship, against a real Prometheus that scrapes a real hub at work: every query answers,
// every metric is on a panel, every alert is tested. There is no Grafana here: of its side the structure is checked.
// Needs: Nats, Prometheus.

import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { ROOT, startHub } from "./harness/hub.mjs";
import {
  familiesOf,
  filledIn,
  panelsOf,
  problemsOf,
  queriesOf,
  readDashboards,
  selectorsIn,
  unknownMetrics,
  unseenMetrics,
} from "./harness/panels.mjs";
import { folder, promtool, SHIPPED, startPrometheus } from "./harness/prometheus.mjs";
import { PLUGINS, startHouse, traffic } from "./harness/traffic.mjs";
import { until } from "./harness/wait.mjs";

const ALL = Object.fromEntries(PLUGINS.map((name) => [`plugins.${name}`, { enabled: true }]));
const shipped = (file) => readFileSync(path.join(SHIPPED, file), "utf8");
const pageOf = async (hub) => (await fetch(`${hub.admin}/metrics`)).text();
const alertNames = () => [...shipped("alerts.yml").matchAll(/- alert: (\w+)/g)].map(([, name]) => name);

/** Why the answer to a query is no answer, if so. */
async function emptiness(prometheus, expression, legend = "") {
  const result = await prometheus.result(filledIn(expression)).catch((error) => error.message);
  if (typeof result === "string") return result;
  if (!result.some((one) => !Number.isNaN(Number(one.value[1])))) return `${result.length} series without a number`;
  for (const [, label] of legend.matchAll(/\{\{(\w+)\}\}/g)) {
    if (!result.every((one) => one.metric[label] !== undefined)) return `no label ${label}`;
  }
  return undefined;
}

/** The queries, and each selector in them, that have no answer. */
async function withoutAnswer(prometheus, queries) {
  const bad = [];
  for (const { at, expr, legendFormat } of queries) {
    const why = await emptiness(prometheus, expr, legendFormat);
    if (why) bad.push(`${at}: ${why}`);
    for (const selector of selectorsIn(expr)) {
      if (!(await prometheus.series(filledIn(selector))).length) bad.push(`${at}: nothing is ${selector}`);
    }
  }
  return bad;
}

test("every query has an answer", { timeout: 240_000 }, async (t) => {
  const house = await startHouse(t);
  const prometheus = await startPrometheus(t, house.hub);
  const before = (await house.hub.metrics()).size;
  await traffic(t, house);
  await prometheus.scraped();
  await prometheus.scraped();

  const samples = [...(await house.hub.metrics())];
  assert.equal(samples.length, before, "every series is there from the start");
  const own = [...familiesOf(await pageOf(house.hub)).keys()].filter((family) =>
    PLUGINS.some((plugin) => family.startsWith(`exedra_${plugin.replace("-", "_")}_`)),
  );
  assert.ok(own.length > 20, `${own}`);
  const moved = (family) => samples.some(([key, value]) => key.startsWith(family) && value > 0);
  // Whether an update is overtaken by a newer one is a matter of milliseconds.
  const still = own.filter((family) => family !== "exedra_deepfake_throttled_total" && !moved(family));
  assert.deepEqual(still, [], "every metric of a plugin has moved");

  const fires = (name) => `ALERTS{alertname="${name}", alertstate="firing"}`;
  await until(async () => (await prometheus.series(fires("ExedraDeadLetters"))).length === 1, {
    within: 20_000,
    what: "the alert about the dead letter",
  });
  const queries = readDashboards().flatMap(queriesOf);
  assert.ok(queries.length > 100);
  assert.deepEqual(await withoutAnswer(prometheus, queries), []);
  await t.test("variables have values", () => variables(prometheus));
  await t.test("alerts look at what is there", () => alerts(prometheus));
  await t.test("a bad query is found", () => badQueries(prometheus));
});

async function variables(prometheus) {
  for (const dashboard of readDashboards()) {
    for (const variable of dashboard.templating.list.filter((one) => one.type === "query")) {
      const [, selector, label] = variable.definition.match(/^label_values\((.+), (\w+)\)$/);
      const result = await prometheus.result(filledIn(selector));
      assert.ok(result.length > 0 && result.every((one) => one.metric[label]), `${dashboard.title}: ${variable.definition}`);
    }
  }
}

async function alerts(prometheus) {
  const rules = await prometheus.rules();
  assert.deepEqual(rules.map((rule) => rule.name).sort(), alertNames().sort());
  for (const { name, query, health, labels, annotations, alerts: active } of rules) {
    assert.equal(health, "ok", name);
    await prometheus.result(query);
    const selectors = selectorsIn(query);
    assert.ok(selectors.length > 0, name);
    for (const selector of selectors) {
      assert.ok((await prometheus.result(selector)).length > 0, `${name}: nothing is ${selector}`);
    }
    assert.ok(["critical", "warning"].includes(labels.severity), name);
    assert.ok(annotations.summary && annotations.description, name);
    for (const alert of active) assert.doesNotMatch(JSON.stringify(alert.annotations), /error expanding|<no value>/, name);
  }
  const firing = rules.filter((rule) => rule.alerts.some((alert) => alert.state === "firing"));
  assert.deepEqual(firing.map((rule) => rule.name), ["ExedraDeadLetters"], "nothing else is wrong");
}

async function badQueries(prometheus) {
  const bad = {
    "not PromQL": "sum(rate(exedra_connects_total[1m])",
    "no such metric": "sum(exedra_conections)",
    "hidden by a default": 'sum(exedra_connections{gateway="pigeon"}) or vector(0)',
    "no number": "exedra_bus_up * NaN",
  };
  for (const [at, expr] of Object.entries(bad)) {
    assert.notDeepEqual(await withoutAnswer(prometheus, [{ at, expr, legendFormat: "" }]), [], at);
  }
  const label = { at: "no such label", expr: "sum by (colour) (exedra_connections)", legendFormat: "{{colour}}" };
  assert.equal((await withoutAnswer(prometheus, [label])).length, 1);
}

test("every metric is on a panel", { timeout: 60_000 }, async (t) => {
  const families = familiesOf(await pageOf(await startHub(t, ALL)));
  const dashboards = readDashboards();
  assert.ok(families.size > 50, `${families.size} metrics`);
  assert.deepEqual(unknownMetrics(dashboards, families), []);
  assert.deepEqual(unseenMetrics(dashboards, families), []);

  await t.test("a bad name is found", () => {
    const [first] = queriesOf(dashboards[0]);
    const changed = readDashboards();
    panelsOf(changed[0])[0].targets[0].expr = `${first.expr} + sum(exedra_conections{job=~"$job"})`;
    assert.deepEqual(unknownMetrics(changed, families), ["exedra_conections"]);
  });
  for (const metric of ["exedra_slow_links_total", "exedra_deepfake_frame_bytes_total", "exedra_public_rooms_pong_seconds"]) {
    await t.test(`${metric} is missed`, () => {
      const changed = readDashboards();
      for (const dashboard of changed) {
        for (const panel of panelsOf(dashboard)) panel.targets = panel.targets.filter((target) => !target.expr.includes(metric));
      }
      assert.deepEqual(unseenMetrics(changed, families), [metric]);
    });
  }
});

test("structure is Grafana's", async (t) => {
  assert.deepEqual(problemsOf(readDashboards()), []);
  const spoiled = {
    "a fixed source": (dashboard) => (panelsOf(dashboard)[0].datasource = { type: "prometheus", uid: "mine" }),
    "a fixed source of a query": (dashboard) => (panelsOf(dashboard)[0].targets[0].datasource = null),
    "one id twice": (dashboard) => (panelsOf(dashboard)[1].id = panelsOf(dashboard)[0].id),
    "an id of a folded row twice": (dashboard) => (dashboard.panels.at(-1).id = panelsOf(dashboard).at(-1).id),
    "a panel of old": (dashboard) => (panelsOf(dashboard)[0].type = "graph"),
    "panels over each other": (dashboard) => (panelsOf(dashboard)[1].gridPos.x = panelsOf(dashboard)[0].gridPos.x),
    "a panel off the page": (dashboard) => (panelsOf(dashboard)[0].gridPos.w = 25),
    "no question": (dashboard) => (panelsOf(dashboard)[0].description = "Connections."),
    "no unit": (dashboard) => (panelsOf(dashboard)[0].fieldConfig.defaults.unit = "bananas"),
    "a link to nowhere": (dashboard) => panelsOf(dashboard)[0].links.push({ url: "/d/nowhere?x" }),
    "a fixed job": (dashboard) => (panelsOf(dashboard)[0].targets[0].expr = 'sum(up{job="exedra"})'),
    "a fixed window": (dashboard) => (panelsOf(dashboard)[0].targets[0].expr = "rate(exedra_connects_total[5m])"),
    "a choice of everything": (dashboard) => (dashboard.templating.list[1].allValue = ".+"),
    "an unknown variable": (dashboard) => (panelsOf(dashboard)[0].targets[0].expr = 'up{job=~"$jobs"}'),
  };
  for (const [what, spoil] of Object.entries(spoiled)) {
    await t.test(`${what} is found`, () => {
      const dashboards = readDashboards();
      spoil(dashboards.find((dashboard) => dashboard.uid === "exedra-overview"));
      assert.notDeepEqual(problemsOf(dashboards), []);
    });
  }
});

test("promtool accepts the alerts", async () => {
  for (const args of [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]]) {
    const { code, said } = await promtool(args, { cwd: SHIPPED });
    assert.equal(code, 0, said);
  }
});

test("each alert is held by its test", { timeout: 240_000 }, async (t) => {
  const [head, ...rules] = shipped("alerts.yml").split(/(?=^ {6}- alert: )/m);
  assert.equal(rules.length, alertNames().length);
  const expression = /^ {8}expr: (\|\n( {10}.*\n)+|.*\n)/m;
  /** Whether the tests pass when each rule is what `change` makes of it. */
  const holds = async (dir, change) => {
    writeFileSync(path.join(dir, "alerts.yml"), head + rules.map(change).join(""));
    return (await promtool(["test", "rules", "alerts_test.yml"], { cwd: dir })).code === 0;
  };
  const spoil = async (what, other) => {
    const dir = folder(t);
    copyFileSync(path.join(SHIPPED, "alerts_test.yml"), path.join(dir, "alerts_test.yml"));
    assert.ok(await holds(dir, (rule) => rule), "unspoilt");
    for (const spoilt of rules) {
      const changed = spoilt.replace(expression, `        expr: ${other}\n`);
      assert.notEqual(changed, spoilt);
      const noticed = !(await holds(dir, (rule) => (rule === spoilt ? changed : rule)));
      assert.ok(noticed, `nobody notices that it ${what}: ${spoilt}`);
    }
  };
  await Promise.all([spoil("never fires", "vector(0) > 1"), spoil("always fires", "up >= 0")]);
});

test("texts use labels that alerts have", () => {
  const tests = shipped("alerts_test.yml");
  for (const rule of shipped("alerts.yml").split(/(?=^ {6}- alert: )/m).slice(1)) {
    const [, name] = rule.match(/- alert: (\w+)/);
    const expected = tests.match(new RegExp(`ALERTS\\{alertname="${name}".*`))?.[0] ?? "";
    for (const [, label] of rule.matchAll(/\$labels\.(\w+)/g)) assert.ok(expected.includes(` ${label}="`), `${name}: ${label}`);
  }
});

test("documents name every page and alert", () => {
  const readme = shipped("README.md");
  for (const { file } of readDashboards()) assert.ok(readme.includes(`grafana/${file}`), file);
  const runbooks = [...readme.matchAll(/^### (Exedra\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(runbooks.sort(), alertNames().sort(), "a runbook for each alert, and none for nobody");
  const rules = shipped("alerts.yml");
  for (const name of runbooks) assert.ok(rules.includes(`"dashboards/README.md#${name.toLowerCase()}"`), name);
  assert.ok(readFileSync(path.join(ROOT, "README.md"), "utf8").includes("dashboards/README.md"));
});
