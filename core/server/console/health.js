// How the parts are: readiness with its reasons, the bus, the other nodes and the store.

import { get } from "./api.js";
import { h, heading, replace } from "./dom.js";
import { condition, count, plural, seconds } from "./format.js";
import { every, reached } from "./live.js";

export const title = "Health";

export function open(main, signal) {
  const parts = h("div.cards");
  main.append(heading("Health"), parts);
  every(2000, signal, async () => {
    const now = await get("health", {}, signal);
    reached(now.reasons);
    const { bus, cluster, store, hub } = now;
    const warned = now.warnings.filter((warning) => warning.part === "store");
    const bad = now.plugins.filter((plugin) => !["running", "disabled"].includes(plugin.condition));
    replace(parts,
      card("Readiness", now.reasons.length ? ["not ready", "bad"] : ["ready", "good"],
        now.reasons.length ? now.reasons.map((reason) => [reason.part, reason.why]) : [["Load balancers", "send traffic here"]]),
      card("Bus", bus.up ? ["up", "good"] : ["down", "bad"], [
        ["Kind", bus.kind], ["Where", bus.where?.replaceAll('"', "") ?? "inside the hub"],
        ["Messages in", count(hub.busIn)], ["Messages out", count(hub.busOut)], ["Reconnects", count(hub.busReconnects)]]),
      card("Cluster", state(cluster), members(cluster)),
      card("Store", store.trouble ? ["in trouble", "bad"] : warned.length ? ["warned", "warn"] : ["well", "good"], [
        ["Kind", store.kind?.replaceAll('"', "")], ["Where", store.where?.replaceAll('"', "")], store.trouble && ["Trouble", store.trouble],
        ["Commits", count(hub.commits.count)], ["Commit p50", seconds(hub.commits.p50)], ["Commit p99", seconds(hub.commits.p99)],
        ...warned.map((warning) => ["Warning", warning.why])]),
      card("Plugins", bad.length ? [plural(bad.length, "problem"), "bad"] : ["well", "good"],
        now.plugins.map((plugin) => [plugin.name, condition(plugin.condition)[0]])),
      card("Configuration", hub.configCurrent ? ["current", "good"] : ["refused", "warn"], [
        ["Newest files", hub.configCurrent ? "in force" : "refused; the log says why"]]),
      card("Ended connections", ["since the start", "off"],
        hub.disconnects.length ? hub.disconnects.map(([reason, number]) => [reason.replaceAll("_", " "), count(number)]) : [["None", "yet"]]));
  });
}

/** Whether the hub is one of several nodes, and does its part. */
function state({ enabled, trouble, nodes }) {
  if (enabled !== "true") return ["alone", "off"];
  if (trouble) return ["in trouble", "bad"];
  return nodes.every((node) => node.known) ? [plural(nodes.length + 1, "node"), "good"] : ["meeting nodes", "warn"];
}

function members({ enabled, trouble, nodes, name }) {
  if (enabled !== "true") return [["Other nodes", "none; [cluster] is off"]];
  const others = nodes.toSorted((a, b) => a.name.localeCompare(b.name));
  return [
    trouble && ["Trouble", trouble],
    ["This node", name?.replaceAll('"', "") ?? "has no name of its own"],
    ...others.map((node) => [`Node ${node.name}`, node.known ? "known" : "has not said yet who is there"]),
    others.length === 0 && ["Other nodes", "none yet"],
  ];
}

function card(name, [word, tone], facts) {
  return h("section.panel", { "aria-label": name }, h("h2", {}, name, h(`span.badge.${tone}`, {}, word)),
    h("dl.facts", {}, facts.filter(Boolean).map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text)))));
}
