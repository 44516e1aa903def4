// Real clients, engines, trackers and services at work in all five plugins at once, with the mistakes that people
// make: what it takes for every metric of a plugin to move.

import assert from "node:assert/strict";

import { headers as natsHeaders } from "nats";
import { WebSocket } from "ws";

import { connectClient, heard, newMeeting, openClient, refusedClient, rest } from "./client.mjs";
import { startHub } from "./hub.mjs";
import { openService, startNats } from "./nats.mjs";
import { mint } from "./tokens.mjs";
import { until } from "./wait.mjs";

export const PLUGINS = ["meetings", "deepfake", "live-preview", "public-rooms", "hangouts"];
const QUICK_PINGS = { idle_after: "300ms", ping_interval: "300ms", pong_timeout: "100ms", max_missed_pings: 100 };
const AGAIN = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 60 };

/** A hub with all plugins, a bus and recovery, and a service on the bus. */
export async function startHouse(t) {
  const nats = await startNats(t);
  const hub = await startHub(t, {
    ...Object.fromEntries(PLUGINS.map((name) => [`plugins.${name}`, { enabled: true }])),
    "plugins.public-rooms.settings": QUICK_PINGS,
    "socketio.recovery": { window: "1m" },
    nats: { url: nats.url },
  });
  return { nats, hub, service: await openService(t, nats) };
}

/** Something of everything; the clients stay until the test ends. */
export async function traffic(t, { hub, service }) {
  const inject = (plugin, room, event, payload) => service.request(`exedra.in.${plugin}.${room}.${event}`, payload);
  await meetings(t, hub, inject);
  await deepfake(t, hub, service, inject);
  await livePreview(t, hub);
  await publicRooms(t, hub);
  await hangouts(t, hub);
  await refusedClient(t, hub, { token: "no.such.token" });
  assert.ok((await inject("meetings", "none", "phase", { nonsense: true })).error, "a dead letter");
}

async function meetings(t, hub, inject) {
  const meeting = await newMeeting(hub, mint("dora"), ["ann", "bob"]);
  const ann = await connectClient(t, hub, { token: mint("ann"), ...AGAIN });
  assert.equal((await ann.emitWithAck("join_meeting", { meetingId: meeting })).success, true);
  const eve = await connectClient(t, hub, { token: mint("eve") });
  assert.equal((await eve.emitWithAck("join_meeting", { meetingId: meeting })).success, false);
  const votes = {
    "emotional-evaluations": { evaluations: [{ targetParticipantId: "bob", emotionalScale: 70 }] },
    "understanding-contributions": { understandingScore: 50 },
  };
  for (const [route, body] of Object.entries(votes)) {
    assert.equal((await rest(hub, "POST", `/meetings/${meeting}/${route}`, { token: mint("ann"), body })).status, 201);
  }
  assert.deepEqual(await inject("meetings", meeting, "phase", { phase: "two", status: "active" }), { ok: true });
  await heard(ann, "phaseChanged");
  ann.io.engine.transport.ws.terminate();
  await until(() => ann.drops.length > 0 && ann.connected && ann.recovered, { what: "Ann to be back" });
}

async function deepfake(t, hub, service, inject) {
  const meetingId = "m-1";
  const ann = await connectClient(t, hub, { token: mint("ann") });
  assert.equal((await ann.emitWithAck("join-meeting", { meetingId })).success, true);
  const audioAnalysis = { voiceCloneScore: 0.99, confidence: 0.9 };
  for (let turn = 0; turn < 20; turn += 1) {
    const update = { participantId: "p", results: { audioAnalysis } };
    assert.deepEqual(await inject("deepfake", meetingId, "detection-update", update), { ok: true });
  }
  const alert = { participantId: "p", severity: "high", message: "Possible voice cloning" };
  assert.deepEqual(await inject("deepfake", meetingId, "deepfake-alert", alert), { ok: true });
  const { alertId } = await heard(ann, "deepfake-alert");
  assert.equal((await ann.emitWithAck("ack-alert", { meetingId, alertId })).success, true);
  const headers = natsHeaders();
  headers.set("Frame-Meta", JSON.stringify({ participantId: "p" }));
  service.connection.publish(`exedra.in.deepfake.${meetingId}.video-frame`, Buffer.alloc(5_000, 7), { headers });
  await heard(ann, "video-frame");
}

async function livePreview(t, hub) {
  const token = mint("ann");
  const project = (await rest(hub, "POST", "/api/projects", { token, body: { name: "Form" } })).json;
  const ann = await connectClient(t, hub, { token });
  assert.equal((await ann.emitWithAck("join-project", { projectId: project.projectId })).success, true);
  const track = async (route, body = {}) => {
    const made = await rest(hub, "POST", route, { body, headers: { "x-api-key": project.apiKey } });
    assert.ok(made.status < 300, made.text);
    return made.json;
  };
  const { sessionId } = await track(`/api/projects/${project.projectId}/sessions`, { externalUserId: "u" });
  const events = Array.from({ length: 40 }, () => ({ eventType: "keydown" }));
  await track(`/api/sessions/${sessionId}/events`, { events });
  await heard(ann, "event-received");
  await track(`/api/sessions/${sessionId}/submit`);
  await heard(ann, "session-ended");
}

async function publicRooms(t, hub) {
  const make = async (what, body) => (await rest(hub, "POST", `/api/public/${what}`, { body })).json;
  const { roomId } = await make("rooms", { name: "Study" });
  const { userId } = await make("users", { userName: "Ann" });
  const namespace = `/public-room/${roomId}`;
  const ann = openClient(t, hub, { namespace });
  ann.on("ping", () => ann.emit("pong"));
  ann.emit("join-room", { userId, userName: "Ann" });
  await heard(ann, "user-joined");
  ann.emit("join-room", {});
  assert.equal((await heard(ann, "error")).code, "INVALID_REQUEST");
  await heard(ann, "ping");
  await until(async () => (await hub.total("exedra_public_rooms_pong_seconds_count")) > 0, { what: "a pong" });
}

async function hangouts(t, hub) {
  const room = (await rest(hub, "POST", "/api/rooms", { body: { name: "Main", maxParticipants: 1 } })).json.roomId;
  const open = (query) => {
    const link = new WebSocket(`${hub.url.replace("http", "ws")}/ws/rooms${query}`);
    link.heard = [];
    link.on("message", (data) => link.heard.push(JSON.parse(data).type));
    link.on("close", (code) => (link.closed = code));
    t.after(() => link.terminate());
    return link;
  };
  const hears = (link, type) => until(() => link.heard.includes(type), { what: () => `${type}; heard ${link.heard}` });
  const ann = open("?userId=ann");
  await hears(ann, "CONNECTION_ESTABLISHED");
  ann.send(JSON.stringify({ action: "JOIN_ROOM", roomId: room }));
  ann.send(JSON.stringify({ action: "PING" }));
  await hears(ann, "PONG");
  const act = (what, userId) => rest(hub, "POST", `/api/rooms/${room}/${what}`, { body: { userId, userName: userId } });
  const statuses = [await act("join", "a"), await act("join", "b"), await act("leave", "a")].map((one) => one.status);
  assert.deepEqual(statuses, [200, 409, 200]);
  await hears(ann, "ROOM_UPDATE");
  const nobody = open("");
  await until(() => nobody.closed, { what: "the link without a user to be closed" });
}
