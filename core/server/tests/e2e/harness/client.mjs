// Stock clients: socket.io-client as applications use it, python-socketio as a process, and plain REST calls.

import assert from "node:assert/strict";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { io } from "socket.io-client";

import { Program, tool } from "./process.mjs";
import { inTime, until } from "./wait.mjs";

const HERE = path.dirname(fileURLToPath(import.meta.url));

/** A socket.io-client that keeps every event it receives, in order. */
export function openClient(t, hub, { token, transports = ["websocket"], namespace = "", ...more } = {}) {
  const socket = io(`${hub.url}${namespace}`, {
    auth: token ? { token } : undefined,
    transports,
    forceNew: true,
    reconnection: false,
    ...more,
  });
  socket.heard = [];
  socket.drops = [];
  socket.onAny((event, ...args) => socket.heard.push({ event, args }));
  socket.on("disconnect", (reason) => socket.drops.push(reason));
  t.after(() => socket.disconnect());
  return socket;
}

/** The same, connected. */
export async function connectClient(t, hub, options) {
  const socket = openClient(t, hub, options);
  await inTime(
    new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    }),
    10_000,
    "a client to connect",
  );
  return socket;
}

/** The `connect_error` of a client that must not get in. */
export async function refusedClient(t, hub, options) {
  const socket = openClient(t, hub, options);
  return inTime(
    new Promise((resolve, reject) => {
      socket.once("connect_error", resolve);
      socket.once("connect", () => reject(new Error("the client was let in")));
    }),
    10_000,
    "a refusal",
  );
}

/** Waits for the first event of that name that satisfies `accept`, heard already or still to come. */
export async function heard(socket, event, accept = () => true, within = 5_000) {
  const found = () => socket.heard.find((one) => one.event === event && accept(...one.args));
  const what = () => `${event}; heard ${JSON.stringify(socket.heard).slice(-1500)}`;
  return (await until(found, { within, what })).args[0];
}

/** Ids in the newest participant list that the client has heard. */
export function participants(socket) {
  const last = socket.heard.findLast((one) => one.event === "participants_updated");
  return last?.args[0].participants.map((participant) => participant.userId).sort();
}

/** python-socketio in a process of its own; it prints what it hears as JSON lines. */
export function startPython(t, hub, { token, meeting }) {
  const script = path.join(HERE, "../peers/meeting_member.py");
  const python = new Program(tool("PYTHON"), [script, hub.url, meeting], {
    env: { MEETING_TOKEN: token, PYTHONUNBUFFERED: "1" },
  });
  python.heard = [];
  python.child.on("line", (line) => {
    if (line.startsWith("{")) python.heard.push(JSON.parse(line));
  });
  t.after(() => python.end());
  return python;
}

/** One REST call; the answer's JSON (or text) comes with its status. */
export async function rest(hub, method, route, { token, body, headers } = {}) {
  const response = await fetch(`${hub.url}${route}`, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, type: response.headers.get("content-type"), text, json };
}

/** A new meeting of `creator` with these people invited; gives its id. */
export async function newMeeting(hub, creator, participantIds, title = "Weekly") {
  const made = await rest(hub, "POST", "/meetings", { token: creator, body: { title, participantIds } });
  assert.equal(made.status, 201, made.text);
  assert.equal(typeof made.json.meetingId, "string");
  return made.json.meetingId;
}
