// Which rooms there are, who is in one, and what happens there while one looks.

import { get, stream } from "./api.js";
import { field, h, heading, say } from "./dom.js";
import { age, count, plural } from "./format.js";
import { every } from "./live.js";
import { once, pager, table } from "./table.js";
import { log } from "./tail.js";

export const title = "Rooms";

const LIMIT = 100;

const address = (plugin, name) => `#/rooms/${encodeURIComponent(plugin)}/${encodeURIComponent(name)}`;

export function open(main, signal, [plugin, room]) {
  if (room !== undefined) return one(main, signal, plugin, room);
  const order = { sort: "members", order: "desc" };
  const search = h("input", { id: "search", type: "search", autocomplete: "off", spellcheck: "false" });
  const owner = h("select", { id: "owner" }, h("option", { value: "" }, "all"));
  const total = h("p.note");
  let reload = () => {};
  const pages = pager(() => reload());
  const again = () => { pages.reset(); reload(); };
  const list = table({
    caption: "Rooms", key: (row) => JSON.stringify([row.plugin, row.name]), order, onsort: again, empty: "There is no such room.",
    columns: [
      { title: "Room", sort: "name", first: "asc", cell: (row, line) => once(line, "name", () => h("a", { href: address(row.plugin, row.name) }, row.name)) },
      { title: "Plugin", cell: (row) => row.plugin },
      { title: "Members", sort: "members", number: true, cell: (row) => count(row.members) },
      { title: "Connections", sort: "connections", number: true, cell: (row) => count(row.connections) },
    ],
  });
  main.append(heading("Rooms"), h("div.bar", { role: "search" }, field("Search", search), field("Plugin", owner), total), list.element, pages.element);
  reload = every(3000, signal, async () => {
    const page = await get("rooms", { search: search.value.trim(), plugin: owner.value, ...order, limit: LIMIT, after: pages.after() }, signal);
    list.show(page.rows);
    pages.show(page, LIMIT, "rooms");
    say(total, plural(page.total, "room"));
  });
  get("plugins", {}, signal).then(({ plugins }) => owner.append(...plugins.map((each) => h("option", {}, each.name))), () => {});
  let typing;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(again, 150); }, { signal });
  owner.addEventListener("change", again, { signal });
}

function one(main, signal, plugin, room) {
  const total = h("p.note");
  let reload = () => {};
  const pages = pager(() => reload());
  const list = table({
    caption: "Members", key: (row) => row.user, empty: "Nobody is in this room.",
    columns: [
      { title: "Member", cell: (row) => row.user },
      { title: "Connections", number: true, cell: (row) => count(row.connections) },
      { title: "In the room for", number: true, cell: (row) => age(row.joinedAt) },
      { title: "Seen", number: true, cell: (row) => `${age(row.lastSeen)} ago` },
      { title: "Notes of the plugin", cell: (row) => (row.meta === null ? "" : JSON.stringify(row.meta)) },
    ],
  });
  const events = log("Events of this room", "Nothing has happened since you opened this page.");
  main.append(h("p.crumb", {}, h("a", { href: "#/rooms" }, "← Rooms")), heading(room, `A room of ${plugin}.`), total,
    list.element, pages.element, h("h2", {}, "Events, from now on"), events.element);
  reload = every(3000, signal, async () => {
    const page = await get("members", { plugin, room, limit: LIMIT, after: pages.after() }, signal);
    list.show(page.rows);
    pages.show(page, LIMIT, "members");
    say(total, plural(page.total, "member"));
  });
  stream("tail", { plugin, room }, signal, events.tell).catch((error) => signal.aborted || events.fail(error));
}
