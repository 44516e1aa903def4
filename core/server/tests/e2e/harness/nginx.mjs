// A real nginx with the balancer's configuration of examples/deploy, in front of hubs on this machine.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { shipped } from "./deploy.mjs";
import { freePort, listening, Program, tool } from "./process.mjs";

/** Starts it; `url` is where clients go, `upstreams()` gives who got each request so far. */
export async function startNginx(t, hubs) {
  const dir = mkdtempSync(path.join(tmpdir(), "exedra-nginx-"));
  const port = await freePort();
  const log = path.join(dir, "access.log");
  // The folders that the package makes are not here.
  const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => {
    const folder = path.join(dir, what);
    mkdirSync(folder);
    return `${what}_temp_path ${folder};`;
  });
  let conf = shipped("docker/nginx.cluster.conf")
    .replace("http {", `http {\n    ${folders.join("\n    ")}`)
    .replace("listen 8080;", `listen 127.0.0.1:${port};`)
    .replace("/dev/stdout", log);
  for (const [at, hub] of hubs.entries()) conf = conf.replace(`hub-${at + 1}:3000`, new URL(hub.url).host);
  const file = path.join(dir, "nginx.conf");
  writeFileSync(file, conf);
  const here = `user root; daemon off; pid ${path.join(dir, "pid")}; error_log stderr;`;
  const program = new Program(tool("NGINX"), ["-p", dir, "-c", file, "-g", here]);
  t.after(async () => {
    await program.end("SIGTERM");
    rmSync(dir, { recursive: true, force: true });
  });
  await listening(program, port);
  const upstreams = () => readFileSync(log, "utf8").split("\n").filter(Boolean).map((line) => line.split(" ").pop());
  return { url: `http://127.0.0.1:${port}`, program, upstreams };
}
