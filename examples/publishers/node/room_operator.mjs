// An operator of public rooms: tells everybody in a room something.

import { connect } from "nats";

import { subject } from "./subject.mjs";

const [room = "lobby", message = "Room capacity changed"] = process.argv.slice(2);

const bus = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
// As a request it is answered once it is on its way to everybody; `publish` would not wait.
const answer = await bus.request(subject("public-rooms", room, "room-update"), JSON.stringify({ message }), { timeout: 5_000 });
console.log("sent:", answer.string());
await bus.drain();
