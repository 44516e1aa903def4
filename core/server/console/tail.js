// Events as they pass. What comes faster than it can be read is counted, not shown.

import { get, stream } from "./api.js";
import { field, h, heading, say } from "./dom.js";
import { bytes, count, plural, time } from "./format.js";

export const title = "Live tail";

const KEPT = 200;
const WAYS = {
  client: "client → plugin", inject: "bus → plugin", emit: "plugin → client", broadcast: "plugin → room",
  publish: "plugin → bus", dead_letter: "dead letter",
};

/** A list of events, newest first, a bounded number of them, written at most once a frame. */
export function log(caption, nothing) {
  const list = h("ol.log", { "aria-label": caption, tabindex: "0" });
  const empty = h("p.empty", {}, nothing);
  const error = h("p.error", { role: "alert" });
  let waiting = [];
  let skipped = 0;
  let paused = false;
  let seen = 0;
  const write = () => {
    const lines = waiting.splice(0).slice(-KEPT).reverse();
    if (skipped) lines.unshift(h("li.missed", {}, `${plural(skipped, "event")} came too fast and are not shown`));
    skipped = 0;
    list.prepend(...lines.map((line) => (line instanceof Node ? line : entry(line))));
    while (list.childElementCount > KEPT) list.lastElementChild.remove();
    empty.hidden = list.childElementCount > 0;
  };
  return {
    element: h("div", {}, error, list, empty),
    tell(name, data) {
      if (name === "missed") seen += data;
      if (name === "seen") seen += 1;
      if (paused) return;
      if (name === "missed") waiting.push(h("li.missed", {}, `${plural(data, "event")} missed here`));
      if (name !== "seen") return;
      if (waiting.length === 0) requestAnimationFrame(write);
      if (waiting.length >= KEPT) skipped += waiting.splice(0, KEPT / 2).length;
      waiting.push(data);
    },
    fail: (problem) => say(error, `The tail has ended: ${problem.message}`),
    pause: (value) => { paused = value; },
    clear: () => { list.replaceChildren(); waiting = []; empty.hidden = false; },
    seen: () => seen,
  };
}

function entry(seen) {
  const about = [seen.plugin, seen.room, seen.user && `by ${seen.user}`].filter(Boolean).join(" · ");
  return h("li", { "data-way": seen.way },
    h("time", {}, time(seen.at)), h("span.way", {}, WAYS[seen.way]), h("strong", {}, seen.event), h("span.about", {}, about),
    h("span.size", {}, bytes(seen.size)), h("code", {}, seen.payload), seen.reason && h("span.reason", {}, seen.reason));
}

export function open(main, signal) {
  const plugin = h("select", { id: "plugin" }, h("option", { value: "" }, "all"));
  const way = h("select", { id: "way" }, h("option", { value: "" }, "all"),
    Object.entries(WAYS).map(([value, text]) => h("option", { value }, text)));
  const room = h("input", { id: "room", autocomplete: "off", spellcheck: "false", placeholder: "exact, or a beginning*" });
  const event = h("input", { id: "event", autocomplete: "off", spellcheck: "false", placeholder: "exact, or a beginning*" });
  const pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
  const clear = h("button.quiet", { type: "button" }, "Clear");
  const state = h("p.note", { role: "status" });
  const events = log("Events", "Waiting for events. Watching costs the hub next to nothing; it stops when you leave this page.");
  main.append(heading("Live tail"),
    h("form.bar", {}, field("Plugin", plugin), field("Direction", way), field("Room", room), field("Event", event), pause, clear),
    state, events.element);

  let watching;
  const watch = () => {
    watching?.abort();
    watching = new AbortController();
    const until = AbortSignal.any([signal, watching.signal]);
    say(state, "Connecting…");
    const parts = { plugin: plugin.value, way: way.value, room: room.value.trim(), event: event.value.trim() };
    const tell = (name, data) => { if (name === "open") say(state, "Watching"); events.tell(name, data); };
    stream("tail", parts, until, tell).then(
      () => until.aborted || events.fail(new Error("the hub closed it")),
      (error) => until.aborted || events.fail(error));
  };
  watch();
  get("plugins", {}, signal).then((all) => plugin.append(...all.plugins.map((each) => h("option", {}, each.name))), () => {});
  main.querySelector("form").addEventListener("submit", (submitted) => { submitted.preventDefault(); watch(); });
  main.querySelector("form").addEventListener("change", watch);
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    events.pause(paused);
    say(state, paused ? `Paused after ${count(events.seen())} events` : "Watching");
  });
  clear.addEventListener("click", events.clear);
}
