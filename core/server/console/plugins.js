// The plugins: how they are, what they serve, how long their calls take, the switch, and the newest file.

import { get, post } from "./api.js";
import { announce, ask, h, heading, replace, say } from "./dom.js";
import { count, plural, seconds } from "./format.js";
import { badge } from "./overview.js";
import { every } from "./live.js";
import { once, table } from "./table.js";

export const title = "Plugins";

export function open(main, signal, [name]) {
  if (name !== undefined) return one(main, signal, name);
  const list = table({
    caption: "Plugins", key: (row) => row.name, empty: "No plugin is enabled.",
    columns: [
      { title: "Plugin", cell: (row, line) => once(line, "name", () => h("a", { href: `#/plugins/${row.name}` }, row.name)) },
      { title: "State", cell: (row, line) => badge(line, row.condition) },
      { title: "Version", cell: (row) => row.version },
      { title: "ABI", cell: (row) => row.abi },
      { title: "Under way", number: true, cell: (row) => count(row.in_flight) },
      { title: "Calls", number: true, cell: (row) => count(row.counts.calls.reduce((sum, call) => sum + call.took.count, 0)) },
      { title: "Handled p50", number: true, cell: (row) => seconds(row.counts.delivery.p50) },
      { title: "p99", number: true, cell: (row) => seconds(row.counts.delivery.p99) },
      { title: "Panics", number: true, cell: (row) => count(row.panics) },
      { title: "Dead letters", number: true, cell: (row) => count(row.counts.deadLetters) },
      { title: h("span.hidden", {}, "Action"), cell: (row, line) => switcher(line, row, () => reload()) },
    ],
  });
  main.append(heading("Plugins"), list.element);
  const reload = every(3000, signal, async () => list.show((await get("plugins", {}, signal)).plugins));
}

/** One button that is the other one when the plugin is off. */
function switcher(line, row, reload) {
  const button = once(line, "switch", () => h("button.small", { type: "button" }));
  const off = row.condition === "disabled";
  say(button, off ? "Enable" : "Disable");
  button.setAttribute("aria-label", `${off ? "Enable" : "Disable"} ${row.name}`);
  button.onclick = async () => {
    const text = "Connections that no other plugin serves are closed, new ones and its requests are refused, injected events become dead letters, and its timers rest. Other plugins go on.";
    if (!off && !(await ask(`Disable ${row.name}?`, text, "Disable"))) return;
    try {
      const said = await post(`plugins/${encodeURIComponent(row.name)}/${off ? "enable" : "disable"}`);
      announce(`${row.name} is ${said.state}; ${plural(said.closed, "connection")} closed`);
    } catch (error) {
      announce(error.message);
    }
    reload();
  };
  return button;
}

/** Puts the newest file of the library in the place of what runs. */
function reloader(line, row, reload) {
  const button = once(line, "reload", () => h("button.small", { type: "button" }, "Reload"));
  button.setAttribute("aria-label", `Reload ${row.name}`);
  button.onclick = async () => {
    const text = "The library is loaded again from its file. Calls under way end in the version that runs; if the new one does not start, nothing changes. Clients stay connected unless it serves other namespaces or events.";
    if (!(await ask(`Reload ${row.name}?`, text, "Reload"))) return;
    button.disabled = true;
    try {
      const said = await post(`plugins/${encodeURIComponent(row.name)}/reload`);
      announce(said.changed ? `${row.name} is ${said.version}, generation ${said.generation}; ${plural(said.closed, "connection")} closed` : `${row.name} ${said.version} is what runs already`);
    } catch (error) {
      announce(error.message);
    }
    button.disabled = false;
    reload();
  };
  return button;
}

function one(main, signal, name) {
  const state = h("p");
  const facts = h("dl.facts.wide");
  const calls = table({
    caption: "Calls", key: (row) => row.kind, empty: "It has not been called yet.",
    columns: [
      { title: "Call", cell: (row) => row.kind },
      { title: "Count", number: true, cell: (row) => count(row.took.count) },
      { title: "p50", number: true, cell: (row) => seconds(row.took.p50) },
      { title: "p99", number: true, cell: (row) => seconds(row.took.p99) },
      { title: "Mean", number: true, cell: (row) => seconds(row.took.sum / row.took.count) },
      { title: "Not ok", cell: (row) => row.outcomes.filter(([outcome]) => outcome !== "ok").map(([outcome, number]) => `${outcome} ${count(number)}`).join(", ") },
    ],
  });
  const settings = table({
    caption: "Settings", key: (row) => row.key, empty: "It has its defaults.",
    columns: [
      { title: "Setting", cell: (row) => row.key },
      { title: "Value", cell: (row) => (row.secret ? "set, not shown" : row.value ?? "not set") },
      { title: "From", cell: (row) => row.origin ?? "default" },
    ],
  });
  const head = heading(name, " ");
  main.append(h("p.crumb", {}, h("a", { href: "#/plugins" }, "← Plugins")), head, state, facts,
    h("h2", {}, "Calls since the start"), calls.element, h("h2", {}, "Settings"), settings.element);
  const line = {};
  const reload = every(3000, signal, async () => {
    const plugin = (await get("plugins", {}, signal)).plugins.find((each) => each.name === name);
    if (!plugin) return say(state, "No such plugin is loaded.");
    say(head.lastChild, plugin.description);
    if (!state.firstChild) replace(state, badge(line, plugin.condition), " ", switcher(line, plugin, () => reload()), " ", reloader(line, plugin, () => reload()));
    badge(line, plugin.condition);
    switcher(line, plugin, () => reload());
    const { counts, serves } = plugin;
    const rows = {
      Version: plugin.version, ABI: plugin.abi, SDK: plugin.sdk, "SHA-256": plugin.sha256 ?? "linked in", Generation: count(plugin.generation),
      Panics: count(plugin.panics), "Calls under way": count(plugin.in_flight), "Dead letters": count(counts.deadLetters),
      Namespaces: serves.namespaces.join("  "), Endpoints: serves.endpoints.join("  "), Routes: serves.routes.join("\n"),
      "Takes from clients": serves.events.join(", "), "Takes from services": serves.injects.join(", "), Methods: serves.methods.join(", "),
      Dropped: counts.dropped.map(([reason, number]) => `${reason.replaceAll("_", " ")} ${count(number)}`).join(", "),
    };
    replace(facts, Object.entries(rows).filter(([, text]) => text).map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text))));
    calls.show(counts.calls);
    settings.show(plugin.settings);
  });
}
