// A tracker: streams made-up sessions of people who use a project into the live-preview plugin. It stands inside, on
// the bus, and so needs no key; pages outside use the REST routes with one.

import { setTimeout as pause } from "node:timers/promises";

import { connect, headers } from "nats";

import { subject } from "./subject.mjs";

const [project, seconds = "30"] = process.argv.slice(2);
if (!project) {
  console.error("usage: node tracker.mjs PROJECT_ID [SECONDS]");
  process.exit(2);
}

const bus = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const to = (event) => subject("live-preview", project, event);
const send = (event, payload) => bus.publish(to(event), JSON.stringify(payload));

/** As a request: the answer says whether the project takes sessions at all. */
async function begin(number) {
  const session = { sessionId: `session-${Date.now().toString(36)}-${number}`, externalUserId: `visitor-${number}` };
  const answer = JSON.parse((await bus.request(to("session-started"), JSON.stringify(session), { timeout: 5_000 })).string());
  if (answer.error) throw new Error(`${answer.error.code}: ${answer.error.message}`);
  console.log("session:", JSON.stringify(answer));
  return session.sessionId;
}

/** Somebody who types a few words, takes a picture of the screen, and submits or just goes away. */
async function visit(number, until) {
  const sessionId = await begin(number);
  for (const keyChar of `hello from visitor ${number}`) {
    if (Date.now() > until) break;
    send("event-received", { sessionId, event: { eventType: "keydown", timestamp: new Date(), keyChar } });
    await pause(100 + Math.random() * 100);
  }
  // A batch: viewers see its first ten.
  const moves = Array.from({ length: 25 }, (_, at) => ({ eventType: "mousemove", timestamp: new Date(), x: at * 4, y: at }));
  send("events", { sessionId, events: moves });
  // Bytes as they are; what they are stands in a header.
  const about = headers();
  about.set("Event-Meta", JSON.stringify({ sessionId, event: { eventType: "screenshot" } }));
  bus.publish(to("binary-event"), Uint8Array.from({ length: 4096 }, (_, at) => at % 256), { headers: about });
  send("session-ended", { sessionId, submitted: number % 3 !== 0 });
}

const until = Date.now() + Number(seconds) * 1000;
for (let number = 1; Date.now() < until; number += 1) await visit(number, until);
await bus.drain();
