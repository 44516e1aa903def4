// Keeping a view up to date: one request after another, none while the tab is hidden, and one place that says
// whether the hub answers.

import { say } from "./dom.js";
import { plural } from "./format.js";

const state = document.getElementById("state");

/** How the hub says it is. */
export function reached(reasons) {
  state.className = `state ${reasons.length ? "warn" : "good"}`;
  say(state, reasons.length ? plural(reasons.length, "problem") : "Ready");
}

function unreachable() {
  state.className = "state bad";
  say(state, "Hub unreachable");
}

const soon = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

const visible = (signal) =>
  new Promise((resolve) => {
    if (!document.hidden) return resolve();
    const look = () => document.hidden || resolve();
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", resolve, { once: true });
  });

/** Runs `load` now and then every so often until the signal. Gives a function that runs it at once. */
export function every(milliseconds, signal, load) {
  let wake = new AbortController();
  (async () => {
    while (!signal.aborted) {
      try {
        await load();
      } catch (error) {
        if (signal.aborted) return;
        if (error.status === undefined) unreachable();
        else console.warn(error.message);
      }
      wake = new AbortController();
      await soon(milliseconds, AbortSignal.any([signal, wake.signal]));
      await visible(signal);
    }
  })();
  return () => wake.abort();
}
