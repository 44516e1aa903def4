// The documents of the repository as readers see them: links, anchors, and the blocks that are there to be copied.
//
// A link is judged twice: as a forge shows the file, and in the pages that mdBook makes of the book. What is wrong
// comes back as a list of sentences, so that a test can also show that it finds what was planted.

import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";

import GithubSlugger from "github-slugger";
import { parseDocument, DomUtils } from "htmlparser2";
import MarkdownIt from "markdown-it";

const markdown = new MarkdownIt({ html: true });
/** Folders that hold what others made, or what can be made again. */
const NOT_OURS = new Set(["node_modules", "target", "vendor", "venv", "var"]);
const INCLUDE = /^\{\{#include (\S+?)\}\}$/gm;
const elsewhere = (link) => /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(link);

/** Every file below `folder` whose name ends so, as a path from there. */
export function filesOf(folder, ending, under = "") {
  return readdirSync(path.join(folder, under), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(under, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) || entry.name.startsWith(".") ? [] : filesOf(folder, ending, name);
    return entry.name.endsWith(ending) ? [name] : [];
  });
}

/** What an HTML text can be led to, and leads to. */
function pageOf(html) {
  const elements = DomUtils.findAll(() => true, parseDocument(html).children);
  const links = elements.flatMap(({ name, attribs }) => (name === "a" ? attribs.href : name === "img" ? attribs.src : undefined) ?? []);
  return { elements, links, ids: new Set(elements.flatMap(({ attribs }) => attribs.id ?? attribs.name ?? [])) };
}

/** A document as a forge shows it, with the anchors of what it includes. */
function shownByForge(file) {
  const text = readFileSync(file, "utf8");
  const { elements, links, ids } = pageOf(markdown.render(text));
  const slugs = new GithubSlugger();
  for (const heading of elements.filter(({ name }) => /^h[1-6]$/.test(name))) ids.add(slugs.slug(DomUtils.textContent(heading)));
  const includes = [...text.matchAll(INCLUDE)].map(([, name]) => path.join(path.dirname(file), name));
  for (const included of includes.filter(existsSync)) for (const id of shownByForge(included).ids) ids.add(id);
  return { links, ids, includes };
}

/** What is wrong with the links of every document below `root`, as a forge shows them. */
export function brokenLinks(root) {
  const shown = new Map();
  const look = (file) => shown.get(file) ?? shown.set(file, shownByForge(file)).get(file);
  return filesOf(root, ".md").flatMap((name) => {
    const file = path.join(root, name);
    const { links, includes } = look(file);
    const missing = includes.filter((one) => !existsSync(one)).map((one) => `${name} includes ${path.relative(root, one)}, which is not there`);
    const broken = links.filter((link) => !elsewhere(link)).flatMap((link) => {
      const [to, anchor] = decodeURI(link).split("#");
      let target = to === "" ? file : path.join(path.dirname(file), to);
      if (path.relative(root, target).startsWith("..")) return [`${name}: ${link} leads out of the repository`];
      if (!existsSync(target)) return [`${name}: ${link} leads to nothing`];
      if (statSync(target).isDirectory() && existsSync(path.join(target, "README.md"))) target = path.join(target, "README.md");
      return anchor && !look(target).ids.has(anchor) ? [`${name}: ${link} has no such anchor`] : [];
    });
    return [...missing, ...broken];
  });
}

/** Which pages of the book `SUMMARY.md` does not name, names twice, or names in vain. */
export function wrongChapters(source) {
  const named = pageOf(markdown.render(readFileSync(path.join(source, "SUMMARY.md"), "utf8"))).links;
  const there = filesOf(source, ".md").filter((name) => name !== "SUMMARY.md");
  return [
    ...there.filter((name) => !named.includes(name)).map((name) => `SUMMARY.md does not name ${name}`),
    ...named.filter((name, at) => named.indexOf(name) !== at).map((name) => `SUMMARY.md names ${name} twice`),
    ...named.filter((name) => !there.includes(name)).map((name) => `SUMMARY.md names ${name}, which is not there`),
  ];
}

/** What is wrong with the pages that mdBook has made: links, anchors, includes that are left. */
export function brokenPages(built) {
  const names = filesOf(built, ".html").filter((name) => !["404.html", "print.html", "toc.html"].includes(name));
  const pages = new Map(names.map((name) => [name, pageOf(readFileSync(path.join(built, name), "utf8"))]));
  return [...pages].flatMap(([name, { links, elements }]) => {
    const main = elements.find((element) => element.name === "main");
    const left = main && DomUtils.textContent(main).includes("{{#") ? [`${name} shows an include`] : [];
    const broken = links.filter((link) => !elsewhere(link)).flatMap((link) => {
      const [to, anchor] = decodeURI(link).split("#");
      const target = to === "" ? name : path.join(path.dirname(name), to);
      if (!existsSync(path.join(built, target))) return [`${name}: ${link} leads to nothing`];
      return anchor && !pages.get(target)?.ids.has(anchor) ? [`${name}: ${link} has no such anchor`] : [];
    });
    return [...left, ...broken];
  });
}

/** The blocks in `language` of every document below `root`, each named by the first line that says something. */
export function blocksOf(root, language) {
  const seen = new Map();
  const named = (key) => {
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return seen.get(key) === 1 ? key : `${key} (${seen.get(key)})`;
  };
  return filesOf(root, ".md").flatMap((name) =>
    markdown
      .parse(readFileSync(path.join(root, name), "utf8"), {})
      .filter((token) => token.type === "fence" && token.info.trim().split(/\s+/)[0] === language)
      .map((token) => {
        const first = token.content.split("\n").find((line) => line.trim() && !line.startsWith("#")) ?? "";
        const key = named(`${name}: ${first.replace(/\s+#.*$/, "").replace(/\s+/g, " ").trim()}`);
        return { name, text: token.content, line: token.map[0] + 1, key };
      }),
  );
}
