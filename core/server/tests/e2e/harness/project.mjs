// Plugins that are built for a test, in folders of their own that go with it.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { run } from "./process.mjs";

/** A folder that goes with the test. */
export function scratch(t) {
  const folder = mkdtempSync(path.join(tmpdir(), "exedra-plugin-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function copyOf(t, folder) {
  const copy = scratch(t);
  cpSync(folder, copy, { recursive: true });
  return copy;
}

/** Builds the library of a C project as its Makefile says; `include` is where the headers are, if not in it. */
export async function buildC(folder, include) {
  const made = await run("make", include ? [`INCLUDE=${include}`] : [], { cwd: folder });
  assert.equal(made.code, 0, made.stderr);
}
