// The book and all other documents: mdBook makes it, every chapter is named, every link and anchor leads somewhere, on a
// forge and in the book. Each check is shown to find what is planted in a copy.
// Needs: Python.

import assert from "node:assert/strict";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { brokenLinks, brokenPages, filesOf, wrongChapters } from "./harness/documents.mjs";
import { ROOT } from "./harness/hub.mjs";
import { run, tool } from "./harness/process.mjs";

const BOOK = "examples/book";
const SOURCE = path.join(BOOK, "src");

function folder(t) {
  const made = mkdtempSync(path.join(tmpdir(), "exedra-book-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** The repository with a copy of the book, to break it. */
function copy(t) {
  const root = folder(t);
  cpSync(path.join(ROOT, BOOK), path.join(root, BOOK), { recursive: true });
  for (const name of ["deploy", "plugin-c", "plugin-rust", "publishers", "web"]) symlinkSync(path.join(ROOT, "examples", name), path.join(root, "examples", name));
  for (const name of ["config", "core", "dashboards", "plugins"]) symlinkSync(path.join(ROOT, name), path.join(root, name));
  for (const name of filesOf(ROOT, ".md").filter((one) => !one.includes("/"))) symlinkSync(path.join(ROOT, name), path.join(root, name));
  return { root, page: (name) => path.join(root, SOURCE, name) };
}

/** What mdBook says to the book below `root`, and what is wrong with its pages. */
async function build(t, root) {
  const built = folder(t);
  const mdbook = path.join(tool("PYTHONPATH"), "bin/mdbook");
  const said = await run(mdbook, ["build", path.join(root, BOOK), "--dest-dir", built]);
  const complaints = said.stderr.split("\n").filter((line) => /\b(WARN|ERROR)\b/.test(line));
  return { code: said.code, said: said.stderr, complaints, problems: said.code === 0 ? brokenPages(built) : [], built };
}

test("links of all documents lead somewhere", () => {
  assert.ok(filesOf(ROOT, ".md").length > 40, "the documents are found");
  assert.deepEqual(brokenLinks(ROOT), []);
});

test("broken links are found", (t) => {
  const root = folder(t);
  mkdirSync(path.join(root, "a"));
  writeFileSync(path.join(root, "a/README.md"), "# One word\n\n# One word\n\n`{{#include` is not one\n\n{{#include none.md}}\n");
  writeFileSync(path.join(root, "x.md"), "[a](a#one-word-1) [b](a#two) [c](gone.md) ![d](gone.png) [e](../out.md) [f](#here) <https://example.com>\n\n## Here\n");
  assert.deepEqual(brokenLinks(root).sort(), [
    "a/README.md includes a/none.md, which is not there",
    "x.md: ../out.md leads out of the repository",
    "x.md: a#two has no such anchor",
    "x.md: gone.md leads to nothing",
    "x.md: gone.png leads to nothing",
  ]);
});

test("the book is whole", { timeout: 60_000 }, async (t) => {
  assert.deepEqual(wrongChapters(path.join(ROOT, SOURCE)), []);
  const { code, said, complaints, problems, built } = await build(t, ROOT);
  assert.equal(code, 0, said);
  assert.deepEqual(complaints, []);
  assert.deepEqual(problems, []);
  assert.ok(filesOf(built, ".html").length > filesOf(path.join(ROOT, SOURCE), ".md").length, "each chapter has a page");
});

test("a book with holes is found out", { timeout: 60_000 }, async (t) => {
  const sound = copy(t);
  assert.deepEqual((await build(t, sound.root)).problems, [], "the copy is whole");

  const anchors = copy(t);
  appendFileSync(anchors.page("concepts.md"), "\n[x](subjects.md#nowhere) [y](../../../plugins/meetings/README.md#nowhere)\n");
  assert.deepEqual((await build(t, anchors.root)).problems, [
    "concepts.html: subjects.html#nowhere has no such anchor",
    "concepts.html: plugins/meetings.html#nowhere has no such anchor",
  ]);

  for (const [line, why] of [["[x](gone.md)", /gone\.md leads to nothing/], ["{{#include gone.md}}", /gone\.md/]]) {
    const holed = copy(t);
    appendFileSync(holed.page("concepts.md"), `\n${line}\n`);
    const { code, said } = await build(t, holed.root);
    assert.notEqual(code, 0, line);
    assert.match(said, why);
  }

  const inline = copy(t);
  appendFileSync(inline.page("concepts.md"), "\nHalf a line {{#include gone.md}}\n");
  const { complaints, problems } = await build(t, inline.root);
  assert.notEqual(complaints.length + problems.length, 0, "an include that nobody takes in");

  const chapters = copy(t);
  writeFileSync(chapters.page("forgotten.md"), "# Forgotten\n");
  appendFileSync(chapters.page("SUMMARY.md"), "- [Twice](security.md)\n- [Gone](gone.md)\n");
  assert.deepEqual(wrongChapters(path.join(chapters.root, SOURCE)), [
    "SUMMARY.md does not name forgotten.md",
    "SUMMARY.md names security.md twice",
    "SUMMARY.md names gone.md, which is not there",
  ]);
  assert.notEqual((await build(t, chapters.root)).code, 0, "a chapter that is not there is not made");
});
