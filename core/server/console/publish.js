// A test event, over the bus as a service would send it, and the plugin's answer.

import { get, post } from "./api.js";
import { field, h, heading, replace, say } from "./dom.js";

export const title = "Publish";

export function open(main, signal) {
  const plugin = h("select", { id: "plugin", required: true });
  const room = h("input", { id: "room", autocomplete: "off", spellcheck: "false" });
  const names = h("datalist", { id: "events" });
  const event = h("input", { id: "event", list: "events", required: true, autocomplete: "off", spellcheck: "false" });
  const payload = h("textarea", { id: "payload", rows: "8", spellcheck: "false" }, "{}");
  const subject = h("code");
  const answer = h("output", { for: "plugin room event payload", role: "status" });
  const send = h("button.primary", { type: "submit" }, "Publish");
  const form = h("form.panel", {}, field("Plugin", plugin), field("Room", room), field("Event", event, "What the plugin takes is in the list."), names,
    field("Payload", payload, "JSON; the plugin's schema holds."), h("p.note", {}, "Subject ", subject), h("div.actions", {}, send), answer);
  main.append(heading("Publish a test event", "It goes over the bus, so clients get what a service's event would give them."), form);

  let injects = {};
  const choose = () => {
    replace(names, (injects[plugin.value] ?? []).filter((name) => name !== "*").map((name) => h("option", { value: name })));
    name();
  };
  const name = () => say(subject, ["exedra", "in", plugin.value, token(room.value), token(event.value)].join("."));
  get("plugins", {}, signal).then(({ plugins }) => {
    const takers = plugins.filter((each) => each.serves.injects.length > 0);
    injects = Object.fromEntries(takers.map((each) => [each.name, each.serves.injects]));
    replace(plugin, takers.map((each) => h("option", {}, each.name)));
    send.disabled = takers.length === 0;
    if (takers.length === 0) say(answer, "No enabled plugin takes events from services.");
    choose();
  }, (error) => signal.aborted || say(answer, error.message));
  plugin.addEventListener("change", choose);
  form.addEventListener("input", name);
  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    const shown = (tone, text) => { answer.className = tone; say(answer, text); };
    let body;
    try {
      body = JSON.parse(payload.value || "null");
      payload.removeAttribute("aria-invalid");
    } catch (error) {
      payload.setAttribute("aria-invalid", "true");
      payload.focus();
      return shown("bad", `The payload is no JSON: ${error.message}`);
    }
    send.disabled = true;
    try {
      const said = await post("publish", { plugin: plugin.value, room: room.value, event: event.value, payload: body });
      const refused = said.answer?.error;
      shown(refused ? "bad" : "good", refused ? `Refused: ${refused.code} ${refused.message}` : `Accepted in ${said.ms} ms`);
    } catch (error) {
      shown("bad", error.message);
    }
    send.disabled = false;
    send.focus();
  });
}

/** A name as a part of a subject: plain characters for themselves, all else as `=XX`. */
function token(text) {
  const plain = /[A-Za-z0-9_-]/;
  const parts = [...new TextEncoder().encode(text)].map((byte) => {
    const character = String.fromCharCode(byte);
    return plain.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  });
  return parts.join("") || "=";
}
