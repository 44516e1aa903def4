// A tracker: begins a session, sends what happens in batches, and submits. It needs nothing but the project and its
// key, which a real page would have in its own code.

import { find, say } from "/shared.js";

const BATCH_EVERY = 250;
const given = new URLSearchParams(location.hash.slice(1));
const form = find("form");
const message = find("message");

let waiting = [];
let sending = Promise.resolve();

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": given.get("key") ?? "" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? answer.title);
  return answer;
}

async function start() {
  const project = encodeURIComponent(given.get("project") ?? "");
  const externalUserId = given.get("user") ?? "visitor";
  const { sessionId } = await post(`/api/projects/${project}/sessions`, { externalUserId });
  say(message, "A session has begun.");
  const note = (eventType, more) => waiting.push({ eventType, timestamp: new Date(), ...more });
  const flush = async () => {
    const events = waiting.splice(0, 1000);
    if (events.length > 0) await post(`/api/sessions/${sessionId}/events`, { events });
  };
  const soon = () => (sending = sending.then(flush).catch((error) => say(message, error.message, "bad")));

  form.addEventListener("keydown", (event) => note("keydown", { keyChar: event.key, field: event.target.name }));
  form.addEventListener("input", (event) => note("input", { field: event.target.name, value: event.target.value }));
  form.addEventListener("paste", (event) => note("paste", { field: event.target.name }));
  form.addEventListener("focusin", (event) => note("focus", { field: event.target.name }));
  const timer = setInterval(soon, BATCH_EVERY);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearInterval(timer);
    await soon();
    await post(`/api/sessions/${sessionId}/submit`, {});
    say(message, "Submitted. Thank you.", "good");
    find("submit").disabled = true;
  });
}

start().catch((error) => say(message, error.message, "bad"));
