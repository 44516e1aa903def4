// The hub at a glance: is it well, how busy is it, and since when did that change.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { h, heading, replace, say } from "./dom.js";
import { age, bytes, condition, count, plural, rate, seconds } from "./format.js";
import { every, reached } from "./live.js";
import { once, table } from "./table.js";

export const title = "Overview";

const SPAN = 10 * 60_000;

export function open(main, signal) {
  const facts = tiles(["Connections", "Rooms", "Waiting for links", "Handled in (p99)", "Memory", "Up for"]);
  const charts = [
    chart({ title: "Connections", format: count, series: [{ value: (point) => point.connections, tone: "one" }] }),
    chart({
      title: "Events", format: rate,
      series: [
        { name: "in", value: (point) => point.received, tone: "one" },
        { name: "delivered", value: (point) => point.delivered, tone: "two" },
        { name: "dropped", value: (point) => point.dropped, tone: "three" },
      ],
    }),
    chart({
      title: "Traffic", format: (value) => `${bytes(value)}/s`, base: 1024,
      series: [
        { name: "in", value: (point) => point.bytesIn, tone: "one" },
        { name: "out", value: (point) => point.bytesOut, tone: "two" },
      ],
    }),
    chart({
      title: "Handling time", format: seconds,
      series: [
        { name: "p50", value: (point) => point.p50, tone: "one" },
        { name: "p99", value: (point) => point.p99, tone: "two" },
      ],
    }),
  ];
  const troubles = h("ul.troubles", { hidden: true, "aria-label": "Problems" });
  const plugins = table({
    caption: "Plugins", key: (row) => row.name, empty: "No plugin is enabled.",
    columns: [
      { title: "Plugin", cell: (row, line) => once(line, "name", () => h("a", { href: `#/plugins/${row.name}` }, row.name)) },
      { title: "State", cell: (row, line) => badge(line, row.condition) },
      { title: "Rooms", number: true, cell: (row) => count(row.counts.rooms) },
      { title: "Members", number: true, cell: (row) => count(row.counts.members) },
      { title: "Events in", number: true, cell: (row) => count(row.counts.fromClients + row.counts.fromBus) },
      { title: "Delivered", number: true, cell: (row) => count(row.counts.delivered) },
      { title: "Dropped", number: true, cell: (row) => count(row.counts.dropped.reduce((sum, [, number]) => sum + number, 0)) },
      { title: "Handled p50", number: true, cell: (row) => seconds(row.counts.delivery.p50) },
      { title: "p99", number: true, cell: (row) => seconds(row.counts.delivery.p99) },
    ],
  });
  const about = h("p.note.colophon");
  main.append(heading("Overview"), troubles, facts.element, h("div.charts", {}, charts.map((one) => one.element)),
    h("h2", {}, "Plugins"), plugins.element, about);

  let points = [];
  every(2000, signal, async () => {
    const [now, more] = await Promise.all([
      get("overview", {}, signal),
      get("history", { since: points.at(-1)?.at ?? 0 }, signal),
    ]);
    const end = Date.now();
    points = [...points, ...more.points].filter((point) => point.at > end - SPAN);
    reached(now.reasons);
    troubles.hidden = now.reasons.length === 0;
    replace(troubles, now.reasons.map((reason) => h("li", {}, h("strong", {}, reason.part), ` ${reason.why}`)));
    const last = points.at(-1);
    facts.show([count(now.connections), count(now.rooms), bytes(now.queue), seconds(last?.p99), bytes(now.memory), age(now.started)]);
    // A hub that has just begun fills the width with what there is.
    const from = Math.max(end - SPAN, Math.min(points[0]?.at ?? end, end - 60_000));
    charts.forEach((one) => one.draw(points, from, last?.at ?? end));
    plugins.show(now.plugins);
    const links = plural(now.hub.slowLinks, "link");
    say(about, `Exedra ${now.version.version}, revision ${now.version.revision.slice(0, 12)}, ABI ${now.version.abi}; ` +
      `public listener ${now.public}; ${count(now.hub.connects)} connections since the start, ${links} closed for reading too slowly.`);
  });
}

function tiles(names) {
  const values = names.map(() => h("dd", {}, "–"));
  const element = h("dl.tiles", {}, names.map((name, index) => h("div", {}, h("dt", {}, name), values[index])));
  return { element, show: (texts) => texts.forEach((text, index) => say(values[index], text)) };
}

/** A state in words and a tone; the words alone are enough. */
export function badge(line, state) {
  const element = once(line, "badge", () => h("span"));
  const [word, tone] = condition(state);
  element.className = `badge ${tone}`;
  say(element, word);
  return element;
}
