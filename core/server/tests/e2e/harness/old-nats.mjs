// What a client sees of a nats-server of a version that cannot be had any more: its greeting, and answers to pings.

import { once } from "node:events";
import { createServer } from "node:net";

export async function openOldServer(t, version) {
  const open = new Set();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    const greeting = { server_id: "OLD", server_name: "old", version, proto: 1, max_payload: 1_048_576, headers: true, jetstream: true };
    socket.write(`INFO ${JSON.stringify(greeting)}\r\n`);
    socket.on("data", (data) => {
      for (const _ of data.toString("latin1").matchAll(/(^|\n)PING\r\n/g)) socket.write("PONG\r\n");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { url: `nats://127.0.0.1:${server.address().port}` };
}
