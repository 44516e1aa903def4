// The shipped dashboards as data, and what can be said of them without a Grafana: which metrics they name, and what
// Grafana would stumble over.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import { SHIPPED } from "./prometheus.mjs";

/** Panels of a current Grafana that are in use; `graph`, `singlestat`, `table-old` and their like are gone. */
const PANELS = ["row", "stat", "timeseries", "heatmap", "bargauge", "table"];
const UNITS = ["short", "bytes", "Bps", "eps", "mps", "cps", "s", "percentunit"];
const COLUMNS = 24;
/** The last version of classic files. */
const SCHEMA = 42;
const SOURCE = JSON.stringify({ type: "prometheus", uid: "${datasource}" });
/** Series that Prometheus makes itself. */
const OF_PROMETHEUS = ["up", "scrape_duration_seconds", "ALERTS"];

/** Every shipped dashboard, with the name of its file. */
export function readDashboards() {
  const folder = path.join(SHIPPED, "grafana");
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.map((file) => ({ file, ...JSON.parse(readFileSync(path.join(folder, file), "utf8")) }));
}

/** All panels that show something, those of folded rows too. */
export const panelsOf = (dashboard) =>
  dashboard.panels.flatMap((panel) => (panel.type === "row" ? panel.panels : [panel]));

export const queriesOf = (dashboard) =>
  panelsOf(dashboard).flatMap((panel) =>
    panel.targets.map((target) => ({ at: `${dashboard.title} / ${panel.title}`, ...target })),
  );

/** The expression as Grafana would send it. */
export const filledIn = (expression) =>
  expression
    .replaceAll("$__rate_interval", "2m")
    .replaceAll("$__range", "5m")
    .replaceAll(/\$job\b/g, "exedra")
    .replaceAll(/\$(instance|plugin)\b/g, ".+");

/** The selectors of an expression, without their ranges. */
export const selectorsIn = (expression) => expression.match(/\b[a-zA-Z_:][\w:]*\{[^}]*\}|\b(?:exedra|process)_\w+(?![\w{])/g) ?? [];

export const metricsIn = (expression) => [
  ...new Set(selectorsIn(expression).map((selector) => selector.split("{")[0])),
];

/** The families on a page of `/metrics`, with their kinds. */
export const familiesOf = (page) => new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => [name, kind]));

const familyOf = (name, families) => {
  const base = name.replace(/_(bucket|sum|count)$/, "");
  return families.get(base) === "histogram" ? base : name;
};

/** Metrics on panels that nobody counts. */
export function unknownMetrics(dashboards, families) {
  const named = dashboards.flatMap((dashboard) => queriesOf(dashboard).flatMap((query) => metricsIn(query.expr)));
  const known = (name) => OF_PROMETHEUS.includes(name) || (familyOf(name, families) !== name || families.get(name) !== undefined);
  return [...new Set(named.filter((name) => !known(name)))];
}

/** Metrics that are on no panel. */
export function unseenMetrics(dashboards, families) {
  const named = dashboards.flatMap((dashboard) => queriesOf(dashboard).flatMap((query) => metricsIn(query.expr)));
  const seen = new Set(named.map((name) => familyOf(name, families)));
  return [...families.keys()].filter((family) => !seen.has(family));
}

/** What Grafana would stumble over, or a reader. */
export function problemsOf(dashboards) {
  const problems = [];
  const uids = dashboards.map((dashboard) => dashboard.uid);
  for (const uid of uids) if (uids.indexOf(uid) !== uids.lastIndexOf(uid)) problems.push(`uid ${uid} twice`);
  for (const dashboard of dashboards) {
    const say = (problem) => problems.push(`${dashboard.file}: ${problem}`);
    if (dashboard.schemaVersion !== SCHEMA || dashboard.id !== null) say("not a file of this schema");
    if (!/^exedra-[a-z-]{3,30}$/.test(dashboard.uid)) say(`uid ${dashboard.uid}`);
    if (!(dashboard.title && dashboard.description && dashboard.tags.includes("exedra"))) say("no title, description or tag");
    ids(dashboard, say);
    places(dashboard.panels, say);
    for (const row of dashboard.panels.filter((panel) => panel.type === "row")) places(row.panels, say);
    variables(dashboard, say);
    for (const panel of panelsOf(dashboard)) panelOf(panel, uids, say);
  }
  return problems;
}

function ids(dashboard, say) {
  const all = [...dashboard.panels, ...panelsOf(dashboard).filter((panel) => !dashboard.panels.includes(panel))];
  const numbers = all.map((panel) => panel.id);
  if (new Set(numbers).size !== numbers.length) say("two panels of one id");
  if (!numbers.every((id) => Number.isInteger(id) && id > 0)) say("an id that is no number");
  for (const panel of all) if (!PANELS.includes(panel.type)) say(`${panel.title} is a ${panel.type}`);
}

function places(panels, say) {
  const taken = new Map();
  for (const { title, gridPos } of panels) {
    const { x, y, w, h } = gridPos;
    if (![x, y, w, h].every(Number.isInteger) || x < 0 || y < 0 || w < 1 || h < 1 || x + w > COLUMNS) say(`${title} is off the page`);
    for (let cell = 0; cell < w * h; cell += 1) {
      const key = `${x + (cell % w)} ${y + Math.floor(cell / w)}`;
      if (taken.has(key)) return say(`${title} lies over ${taken.get(key)}`);
      taken.set(key, title);
    }
  }
}

function variables(dashboard, say) {
  const list = dashboard.templating.list;
  const named = new Map(list.map((variable) => [variable.name, variable]));
  for (const name of ["datasource", "job", "instance"]) if (!named.has(name)) say(`no variable ${name}`);
  for (const variable of list) {
    if (variable.type === "query" && JSON.stringify(variable.datasource) !== SOURCE) say(`${variable.name} has a fixed source`);
    if (variable.allValue) say(`all of ${variable.name} takes in what is not the hub's`);
  }
  for (const query of queriesOf(dashboard)) {
    for (const [, name] of query.expr.matchAll(/\$(\w+)/g)) {
      if (!named.has(name) && !["__rate_interval", "__range"].includes(name)) say(`nobody sets $${name}`);
    }
  }
}

function panelOf(panel, uids, say) {
  if (!panel.description?.includes("?")) say(`${panel.title} answers no question`);
  if (JSON.stringify(panel.datasource) !== SOURCE) say(`${panel.title} has a fixed source`);
  if (!UNITS.includes(panel.fieldConfig.defaults.unit)) say(`${panel.title} has no known unit`);
  if (!panel.targets.length) say(`${panel.title} asks nothing`);
  for (const link of panel.links) {
    if (!uids.includes(link.url.match(/^\/d\/([^?]+)/)?.[1])) say(`${panel.title} leads to ${link.url}`);
  }
  const refs = panel.targets.map((target) => target.refId);
  if (new Set(refs).size !== refs.length) say(`${panel.title} has two queries of one name`);
  for (const target of panel.targets) {
    if (JSON.stringify(target.datasource) !== SOURCE) say(`${panel.title} has a query with a fixed source`);
    for (const selector of selectorsIn(target.expr)) {
      const chosen = selector.includes('job=~"$job"') && selector.includes('instance=~"$instance"');
      if (!chosen && !selector.startsWith("ALERTS{")) say(`${panel.title}: ${selector} is not what the reader has chosen`);
    }
    for (const [, kind, range] of target.expr.matchAll(/\b(rate|irate|increase)\([^[]*\[([^\]]*)\]/g)) {
      if (range !== (kind === "increase" ? "$__range" : "$__rate_interval")) say(`${panel.title}: ${kind} over ${range}`);
    }
  }
}
