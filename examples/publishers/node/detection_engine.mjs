// A detection engine: streams made-up scores, alerts and video frames about a meeting into the deepfake plugin.

import { setTimeout as pause } from "node:timers/promises";

import { connect, headers } from "nats";

import { subject } from "./subject.mjs";

const [meeting = "123456789", seconds = "30", ...named] = process.argv.slice(2);
const participants = named.length > 0 ? named : ["ann", "bob", "carol"];

const bus = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
const to = (event) => subject("deepfake", meeting, event);
const send = (event, payload) => bus.publish(to(event), JSON.stringify(payload));
const score = (middle) => Math.round(Math.min(1, Math.max(0, middle + (Math.random() - 0.5) * 0.2)) * 100) / 100;

const results = (fake) => ({
  audioAnalysis: {
    voiceCloneScore: score(fake ? 0.85 : 0.1),
    confidence: score(0.92),
    features: ["pitch_variation", "energy_contour"],
  },
  videoAnalysis: { facialConsistency: score(0.9), lipSyncError: score(0.1), confidence: score(0.88) },
  behavioralAnalysis: { emotionConsistency: score(0.82), confidence: score(0.9) },
});

/** A bitmap file of one colour: stands for a frame of the camera. */
function picture(turn, width = 64, height = 36) {
  const file = Buffer.alloc(54 + width * height * 3, Buffer.from([(turn * 8) % 256, 120, 200]));
  file.fill(0, 0, 54);
  file.write("BM");
  file.writeUInt32LE(file.length, 2);
  for (const [at, value] of [[10, 54], [14, 40], [18, width], [22, height]]) file.writeUInt32LE(value, at);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  return file;
}

// An alert must not get lost: as a request it is answered once it is stored.
const alert = {
  participantId: participants[0],
  severity: "high",
  message: "Possible voice cloning detected",
  type: "voice_clone_detected",
  confidence: 0.95,
};
const answer = await bus.request(to("deepfake-alert"), JSON.stringify(alert), { timeout: 5_000 });
console.log("alert:", answer.string());

for (let turn = 0; turn < Number(seconds) * 5; turn += 1) {
  for (const [at, participantId] of participants.entries()) {
    const fake = at === 0;
    send("detection-update", { participantId, results: results(fake) });
    send("trust-score-update", { participantId, trustScore: score(fake ? 0.4 : 0.9) });
  }
  if (turn % 5 === 0) {
    // Bytes as they are; what they are stands in a header.
    const about = headers();
    about.set("Frame-Meta", JSON.stringify({ participantId: participants[0] }));
    bus.publish(to("video-frame"), picture(turn), { headers: about });
  }
  await pause(200);
}
await bus.drain();
