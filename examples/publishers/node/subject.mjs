// The subject of an event for a plugin's room.

/** A part of a subject: whatever is not plain becomes =XX. */
const token = (text) =>
  [...new TextEncoder().encode(text)]
    .map((byte) => String.fromCharCode(byte))
    .map((char) => (/[A-Za-z0-9_-]/.test(char) ? char : `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`))
    .join("") || "=";

export const subject = (plugin, room, event) => `exedra.in.${plugin}.${token(room)}.${event}`;
