// Line charts of the last minutes, drawn as SVG. A chart has a title, its newest value in words, and the same for
// screen readers; the lines only say it again for the eye.

import { h, say, svg } from "./dom.js";
import { time } from "./format.js";

const WIDTH = 600;
const HEIGHT = 120;
const TOP = 6;

/** `series`: `{ name, value(point), tone }`; `base` is 1024 for bytes. Returns `{ element, draw(points, from, to) }`. */
export function chart({ title, series, format, base = 10 }) {
  const lines = series.map((one) => ({
    ...one,
    line: svg(`path.line.${one.tone}`),
    area: svg(`path.area.${one.tone}`),
    now: h("strong"),
  }));
  const grid = svg("g.grid", {}, [0, 0.5, 1].map((share) => {
    const y = TOP + (HEIGHT - TOP - 1) * share;
    return svg("line", { x1: 0, x2: WIDTH, y1: y, y2: y });
  }));
  const cursor = svg("line.cursor", { y1: 0, y2: HEIGHT, visibility: "hidden" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
    grid, lines.map((one) => one.area), lines.map((one) => one.line), cursor);
  const top = h("span.scale");
  const when = h("span.when");
  const legend = h("p.legend", {}, lines.map((one) =>
    h("span", {}, one.name && [h(`i.${one.tone}`, { "aria-hidden": "true" }), `${one.name} `], one.now)));
  const element = h("figure.chart", {}, h("figcaption", {}, h("span", {}, title), legend), h("div.plot", {}, picture, top, when));
  let shown = { points: [], from: 0, to: 1 };

  function draw(points, from, to) {
    shown = { points, from, to };
    const high = Math.max(0, ...points.flatMap((point) => lines.map((one) => one.value(point) ?? 0)));
    const ceiling = nice(high, base);
    const x = (point) => ((point.at - from) / (to - from)) * WIDTH;
    const y = (value) => HEIGHT - 1 - (value / ceiling) * (HEIGHT - TOP - 1);
    for (const one of lines) {
      const runs = unbroken(points, one.value);
      one.line.setAttribute("d", runs.map((run) => path(run, one.value, x, y)).join(""));
      one.area.setAttribute("d", runs.map((run) =>
        `${path(run, one.value, x, y)}L${x(run.at(-1)).toFixed(1)} ${HEIGHT}L${x(run[0]).toFixed(1)} ${HEIGHT}Z`).join(""));
    }
    say(top, high > 0 ? format(ceiling) : "");
    tell(points.at(-1));
  }

  function tell(point) {
    const words = lines.map((one) => {
      const value = point && one.value(point);
      const text = value === undefined || value === null ? "–" : format(value);
      say(one.now, text);
      return `${one.name || title} ${text}`;
    });
    picture.setAttribute("aria-label", `${title} in the last minutes; now ${words.join(", ")}`);
  }

  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const at = shown.from + ((event.clientX - box.left) / box.width) * (shown.to - shown.from);
    const near = shown.points.reduce((best, point) =>
      (!best || Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best), undefined);
    if (!near) return;
    const x = ((near.at - shown.from) / (shown.to - shown.from)) * WIDTH;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    say(when, time(near.at).slice(0, 8));
    lines.forEach((one) => {
      const value = one.value(near);
      say(one.now, value === undefined || value === null ? "–" : format(value));
    });
  });
  picture.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    say(when, "");
    tell(shown.points.at(-1));
  });

  return { element, draw };
}

/** Where there is no value there is no line. */
function unbroken(points, value) {
  const runs = [];
  let run = [];
  for (const point of points) {
    if (value(point) === null || value(point) === undefined) {
      if (run.length) runs.push(run);
      run = [];
    } else run.push(point);
  }
  if (run.length) runs.push(run);
  return runs;
}

const path = (run, value, x, y) =>
  run.map((point, index) => `${index ? "L" : "M"}${x(point).toFixed(1)} ${y(value(point)).toFixed(1)}`).join("");

/** The next of 1, 2, 5, 10, …, of the unit that a value is shown in. */
function nice(high, base) {
  if (high <= 0) return 1;
  const unit = base === 10 ? 1 : base ** Math.floor(Math.log(high) / Math.log(base));
  const power = 10 ** Math.floor(Math.log10(high / unit));
  return unit * power * ([1, 2, 5, 10].find((step) => step * power * unit >= high * 1.02) ?? 20);
}
