// The frame around the views: which one is shown, the colours, and the way to it. A view is
// `{ title, open(main, signal, rest) }`; what it starts ends with the signal when another one opens.

import { get } from "./api.js";
import { h, replace, say } from "./dom.js";
import { every, reached } from "./live.js";
import * as configuration from "./configuration.js";
import * as connections from "./connections.js";
import * as health from "./health.js";
import * as overview from "./overview.js";
import * as plugins from "./plugins.js";
import * as publish from "./publish.js";
import * as rooms from "./rooms.js";
import * as tail from "./tail.js";

const VIEWS = { overview, connections, rooms, plugins, tail, publish, configuration, health };
const THEME = "exedra-theme";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let current;

const links = Object.entries(VIEWS).map(([name, view]) => [name, h("a", { href: `#/${name}` }, view.title)]);
replace(nav, h("ul", {}, links.map(([, link]) => h("li", {}, link))));

function route(first) {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  if (location.hash === "#main") return main.focus();
  const view = VIEWS[name] ?? overview;
  current?.abort();
  current = new AbortController();
  for (const [other, link] of links) {
    if (VIEWS[other] === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.title} · Exedra console`;
  replace(main);
  view.open(main, current.signal, rest.filter(Boolean));
  // Whoever follows a link hears and sees where it led; on arrival the page begins at its beginning.
  if (first !== true) main.querySelector("h1")?.focus();
  scrollTo(0, 0);
}

const theme = document.getElementById("theme");
const THEMES = { auto: "Colours: system", light: "Colours: light", dark: "Colours: dark" };

function paint(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  localStorage.setItem(THEME, name);
  say(theme, THEMES[name]);
}

theme.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  paint(names[(names.indexOf(localStorage.getItem(THEME)) + 1) % names.length]);
});

paint(localStorage.getItem(THEME) in THEMES ? localStorage.getItem(THEME) : "auto");
addEventListener("hashchange", route);
route(true);
every(5000, new AbortController().signal, async () => reached((await get("health")).reasons));
