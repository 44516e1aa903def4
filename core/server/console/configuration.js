// The settings in force, each with where it came from. Secrets never leave the hub.

import { get } from "./api.js";
import { field, h, heading, say } from "./dom.js";
import { plural } from "./format.js";
import { every } from "./live.js";
import { once, table } from "./table.js";

export const title = "Configuration";

export function open(main, signal) {
  const search = h("input", { id: "search", type: "search", autocomplete: "off", spellcheck: "false" });
  const changed = h("input", { id: "changed", type: "checkbox" });
  const total = h("p.note", { role: "status" });
  const waiting = h("p.warning", { hidden: true });
  const list = table({
    caption: "Settings", key: (row) => row.key, empty: "No setting matches.",
    columns: [
      { title: "Setting", cell: (row, line) => once(line, "key", () => h("code", {}, row.key)) },
      { title: "Value", cell: (row, line) => {
        const code = once(line, "value", () => h("code"));
        code.className = row.secret || row.value === null ? "faint" : "";
        say(code, row.secret ? "set, not shown" : row.value ?? "not set");
        return code;
      } },
      { title: "From", cell: (row) => row.origin ?? "default" },
    ],
  });
  main.append(heading("Configuration"), waiting,
    h("div.bar", { role: "search" }, field("Search", search), h("div.check", {}, changed, h("label", { for: "changed" }, "Only what is not default")), total),
    list.element);
  let all = [];
  const show = () => {
    const words = search.value.trim().toLowerCase();
    const rows = all.filter((row) => (!changed.checked || row.origin) && `${row.key} ${row.value ?? ""} ${row.origin ?? "default"}`.toLowerCase().includes(words));
    list.show(rows);
    say(total, plural(rows.length, "setting"));
  };
  every(10_000, signal, async () => {
    const now = await get("config", {}, signal);
    all = now.settings;
    waiting.hidden = now.waiting.length === 0;
    say(waiting, `Changed in a file, and in force after a restart: ${now.waiting.join(", ")}`);
    show();
  });
  search.addEventListener("input", show);
  changed.addEventListener("change", show);
}
