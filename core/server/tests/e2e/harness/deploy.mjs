// Reads examples/deploy: its YAML, its unit, and the configurations of the hub that are in it, as whoever uses them would.

import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

import { ROOT } from "./hub.mjs";
import { run, tool } from "./process.mjs";

export const DEPLOY = path.join(ROOT, "examples/deploy");

export const shipped = (file) => readFileSync(path.join(DEPLOY, file), "utf8");

/** Every file below the folder, by its path in it. */
export const files = (folder = DEPLOY) =>
  readdirSync(folder, { recursive: true }).filter((file) => statSync(path.join(folder, file)).isFile()).sort();

// A key that stands twice is a mistake that the parser alone would not tell.
const PARSE = `
import json, sys, yaml
class Strict(yaml.SafeLoader):
    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"twice: {twice}")
        return super().construct_mapping(node, deep)
json.dump(list(yaml.load_all(sys.stdin.read(), Strict)), sys.stdout)
`;

/** The documents of a YAML text; rejects with what is wrong with it. */
export async function yaml(text) {
  const { code, stdout, stderr } = await run(tool("PYTHON"), ["-c", PARSE], { input: text });
  if (code !== 0) throw new Error(stderr.trim().split("\n").pop());
  return JSON.parse(stdout);
}

/** The lines of a systemd unit: `[section, key, value]`. */
export function unit(text) {
  let section = "";
  const rows = [];
  for (const line of text.split("\n")) {
    if (!line.trim() || /^[#;]/.test(line)) continue;
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (name) section = name;
    else rows.push([section, ...(/^(\w+)=(.*)$/.exec(line)?.slice(1) ?? ["", line])]);
  }
  return rows;
}

/** The first value of a key of the form `key = …` in a hub's configuration, without quotes and underscores. */
export const setting = (toml, key) => new RegExp(`^\\s*${key} = "?([^"\\n]+?)"?$`, "m").exec(toml)?.[1].replaceAll("_", "");

const TIMES = { ms: 0.001, s: 1, m: 60, h: 3600 };
const SIZES = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** Seconds of `45s` or `1m`. */
export function seconds(text) {
  const [, number, name] = /^(\d+)(ms|s|m|h)$/.exec(text);
  return Number(number) * TIMES[name];
}

/** Bytes of `256KiB`, `1m`, `2G`, `2Gi` or `1MB`; a million is taken for 1024², which is near enough for a limit. */
export function bytes(text) {
  const [, number, name] = /^(\d+)([kmg])(i|ib|b)?$/i.exec(text);
  return Number(number) * SIZES[name.toLowerCase()];
}

/** What is wrong with an image's name: it must say which version, so that tomorrow's is today's. */
export const unpinned = (image) => !/^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$/.test(image);

/** The blocks of an nginx or Caddy file are closed, and comments are taken out. */
export function withoutComments(text) {
  const bare = text.replaceAll(/(^|\s)#.*$/gm, "");
  let depth = 0;
  for (const sign of bare.replaceAll(/\$\{\w+\}/g, "").match(/[{}]/g) ?? []) {
    depth += sign === "{" ? 1 : -1;
    if (depth < 0) throw new Error("a block is closed that was not opened");
  }
  if (depth !== 0) throw new Error("a block is not closed");
  return bare;
}
