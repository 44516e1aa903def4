// A keeper of hangout rooms: makes one, changes its size, lets people in and out, and hears what happens.

import { setTimeout as pause } from "node:timers/promises";

import { connect } from "nats";

import { subject } from "./subject.mjs";

const [name = "Main room", places = "3", ...people] = process.argv.slice(2);
const guests = people.length > 0 ? people : ["Ann", "Bob", "Carol", "Dan"];

const bus = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const ask = async (to, payload) => {
  const answer = (await bus.request(to, JSON.stringify(payload), { timeout: 5_000 })).json();
  if (answer.error && answer.error.code !== "ROOM_FULL") console.log("refused:", answer.error);
  return answer;
};

bus.subscribe("exedra.out.hangouts.>", {
  callback: (_, message) => console.log("heard:", message.subject.split(".").slice(3).join(" "), message.string()),
});

const room = await ask("exedra.rpc.hangouts.create", { name, maxParticipants: Number(places) });
console.log("room:", room.roomId);
const into = (event) => subject("hangouts", String(room.roomId), event);

for (const [at, userName] of guests.entries()) {
  const answer = await ask(into("join"), { userId: `guest-${at}`, userName });
  console.log(`${userName}:`, answer.error?.code ?? "is in"); // the one too many: ROOM_FULL
  await pause(200);
}
await ask("exedra.rpc.hangouts.update", { roomId: room.roomId, maxParticipants: Number(places) + 1 });
for (const at of guests.keys()) await ask(into("leave"), { userId: `guest-${at}` });

// A backend that keeps its rooms itself only has news: links are told, nothing is stored.
const news = { event: "join", participantName: "John Doe", currentParticipants: 25, maxParticipants: 50 };
await ask(into("room-update"), news);
await pause(200);
await bus.drain();
