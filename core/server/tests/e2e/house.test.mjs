// All five plugins on one hub: each does its work beside the others, and each is switched on and off by its table in
// the configuration alone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { WebSocket } from "ws";

import { connectClient, openClient, rest } from "./harness/client.mjs";
import { startHub } from "./harness/hub.mjs";
import { mint } from "./harness/tokens.mjs";
import { inTime, until } from "./harness/wait.mjs";

const PLUGINS = ["meetings", "deepfake", "live-preview", "public-rooms", "hangouts"];
const tables = (without) =>
  Object.fromEntries(PLUGINS.map((name) => [`plugins.${name}`, { enabled: name !== without }]));

/** What shows that a plugin is there, each through its own surface. */
const SIGNS = {
  meetings: async (t, hub) => {
    const body = { meetingId: "same", participantIds: ["ann"] };
    const made = await rest(hub, "POST", "/meetings", { token: mint("dora"), body });
    if (made.status !== 201) return false;
    const ann = await connectClient(t, hub, { token: mint("ann") });
    return (await ann.emitWithAck("join_meeting", { meetingId: "same" })).success;
  },
  deepfake: async (t, hub) => {
    // Without the plugin nobody serves the event, and with no plugin of `/` at all there is no such namespace.
    const ann = await connectClient(t, hub, { token: mint("ann") });
    return (await ann.emitWithAck("join-meeting", { meetingId: "same" })).success === true;
  },
  "live-preview": async (t, hub) => {
    const made = await rest(hub, "POST", "/api/projects", { token: mint("ann"), body: { name: "Site" } });
    return made.status === 201;
  },
  "public-rooms": async (t, hub) => {
    const socket = openClient(t, hub, { namespace: "/public-room/same" });
    const seen = () => socket.connected || socket.refusal !== undefined;
    socket.on("connect_error", (error) => (socket.refusal = error.message));
    await until(seen, { what: "an answer of the namespace" });
    return socket.connected;
  },
  hangouts: async (t, hub) => {
    const link = new WebSocket(`${hub.url.replace("http", "ws")}/ws/rooms?userId=ann`);
    t.after(() => link.terminate());
    const opened = new Promise((resolve) => {
      link.on("error", () => resolve(false));
      link.on("open", () => link.send(JSON.stringify({ action: "PING" })));
      link.on("message", (data) => JSON.parse(data).type === "PONG" && resolve(true));
    });
    return inTime(opened, 5_000, "an answer of the link");
  },
};

test("five plugins share one hub", { timeout: 120_000 }, async (t) => {
  const hub = await startHub(t, tables());
  for (const plugin of PLUGINS) assert.equal(await SIGNS[plugin](t, hub), true, plugin);
  const up = [...(await hub.metrics())].filter(([key, value]) => key.startsWith("exedra_plugin_up{") && value === 1);
  assert.equal(up.length, 5);
});

for (const off of PLUGINS) {
  test(`${off} is switched off by its table`, { timeout: 120_000 }, async (t) => {
    const hub = await startHub(t, tables(off));
    for (const plugin of PLUGINS) assert.equal(await SIGNS[plugin](t, hub), plugin !== off, plugin);
  });
}
