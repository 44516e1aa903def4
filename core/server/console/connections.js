// Who is connected. The server searches, sorts and pages, so ten thousand connections cost a page and not a list.

import { get, remove } from "./api.js";
import { announce, ask, field, h, heading, replace, say } from "./dom.js";
import { age, bytes, count, plural } from "./format.js";
import { every } from "./live.js";
import { once, pager, table } from "./table.js";

export const title = "Connections";

const LIMIT = 100;

export function open(main, signal, [id]) {
  if (id !== undefined) return details(main, signal, id);
  const order = { sort: "queue", order: "desc" };
  const search = h("input", { id: "search", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "user, address, namespace, id" });
  const total = h("p.note");
  let reload = () => {};
  const pages = pager(() => reload());
  const again = () => { pages.reset(); reload(); };
  const list = table({
    caption: "Connections", key: (row) => row.id, order, onsort: again, empty: "Nobody matches.",
    columns: [
      { title: "User", sort: "user", first: "asc", cell: (row, line) => once(line, "user", () =>
        h("a", { href: `#/connections/${row.id}` }, row.user ?? "anonymous")) },
      { title: "Name", cell: (row) => row.name },
      { title: "Namespace", cell: (row) => row.namespace },
      { title: "Address", cell: (row) => row.peer },
      { title: "Rooms", number: true, cell: (row) => count(row.rooms) },
      { title: "Queue", sort: "queue", number: true, cell: (row) => bytes(row.queue) },
      { title: "Bytes", sort: "bytes", number: true, cell: (row) => bytes(row.sent + row.received) },
      { title: "Events", number: true, cell: (row) => count(row.events) },
      { title: "Open for", sort: "age", number: true, cell: (row) => age(row.since) },
      { title: h("span.hidden", {}, "Action"), cell: (row, line) => once(line, "end", () =>
        h("button.small", { type: "button", "aria-label": `Disconnect ${row.user ?? row.publicId}`, onclick: () => end(row, reload, search) }, "Disconnect")) },
    ],
  });
  main.append(heading("Connections"), h("div.bar", { role: "search" }, field("Search", search), total), list.element, pages.element);

  let told;
  reload = every(3000, signal, async () => {
    const words = search.value.trim();
    const page = await get("connections", { search: words, ...order, limit: LIMIT, after: pages.after() }, signal);
    if (words !== search.value.trim()) return;
    list.show(page.rows);
    pages.show(page, LIMIT, "connections");
    say(total, words ? `${count(page.matched)} of ${plural(page.total, "connection")} match` : plural(page.total, "connection"));
    if (words !== told) {
      if (told !== undefined) announce(`${plural(page.matched, "connection")} found`);
      told = words;
    }
  });
  let typing;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(again, 150); }, { signal });
}

async function end(row, reload, then) {
  const who = row.user ?? row.publicId;
  const yes = await ask(`Disconnect ${who}?`, "The client is told that the server ended it; stock clients stay away until they are asked to connect again.", "Disconnect");
  if (!yes) return;
  try {
    await remove(`connections/${row.id}`);
    announce(`${who} is disconnected`);
  } catch (error) {
    announce(error.message);
  }
  then?.focus();
  reload();
}

function details(main, signal, id) {
  const facts = h("dl.facts");
  const rooms = h("ul.links", { "aria-label": "Rooms" });
  const gone = h("p.error", { role: "alert" });
  const button = h("button.danger", { type: "button", hidden: true }, "Disconnect");
  main.append(h("p.crumb", {}, h("a", { href: "#/connections" }, "← Connections")), heading(`Connection ${id}`),
    gone, facts, h("h2", {}, "Rooms"), rooms, h("p", {}, button));
  let view;
  const reload = every(3000, signal, async () => {
    try {
      view = await get(`connections/${encodeURIComponent(id)}`, {}, signal);
    } catch (error) {
      if (error.status !== 404) throw error;
      say(gone, "This connection has ended.");
      button.hidden = true;
      return;
    }
    const rows = {
      User: view.user ?? "anonymous", Name: view.name, "E-mail": view.email, Roles: view.roles.join(", "),
      "Socket id": view.publicId, Namespace: view.namespace, Gateway: view.gateway, Address: view.peer,
      "Open for": age(view.since), "Identity ends": view.expiresAt && new Date(view.expiresAt).toLocaleString("en"),
      "Waits for the link": bytes(view.queue), Sent: bytes(view.sent), Received: `${bytes(view.received)} in ${plural(view.events, "event")}`,
    };
    const given = Object.entries(rows).filter(([, text]) => text);
    replace(facts, given.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
    const inRooms = view.inRooms.map(([plugin, name]) => h("li", {}, h("a", {
      href: `#/rooms/${encodeURIComponent(plugin)}/${encodeURIComponent(name)}` }, name), h("span.note", {}, ` ${plugin}`)));
    if (!rooms.contains(document.activeElement)) replace(rooms, inRooms.length ? inRooms : h("li.note", {}, "It is in no room."));
    button.hidden = false;
  });
  button.addEventListener("click", () => end(view, reload, main.querySelector("h1")));
}
