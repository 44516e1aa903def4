// Many viewers of one meeting in a thread of their own, so that what they read does not slow down who measures. They
// parse nothing: an event is counted by the first bytes of its frame.

import { parentPort, workerData } from "node:worker_threads";

import { RawClient } from "../harness/raw.mjs";

const { hub, meeting, tokens, local } = workerData;
const ALERT = '42["deepfake-alert"';
const counts = tokens.map(() => ({ alerts: 0, all: 0 }));

const viewers = tokens.map((token, at) => {
  const viewer = new RawClient(hub, { auth: { token }, local: local[at % local.length] });
  viewer.ws.on("message", (data) => {
    counts[at].all += 1;
    if (data.toString("latin1", 0, ALERT.length) === ALERT) counts[at].alerts += 1;
  });
  return viewer;
});

await Promise.all(viewers.map((viewer) => viewer.ready));
for (const viewer of viewers) viewer.emit("join-meeting", { meetingId: meeting });
parentPort.postMessage({ ready: true });
parentPort.on("message", () => parentPort.postMessage({ counts, closed: viewers.filter((viewer) => viewer.closed).length }));
