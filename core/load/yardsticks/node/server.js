// The server of the benchmarks on Node's socket.io, written as its users would: tokens checked at the door, rooms of
// the library, a table of who is present. Same events as the plugin in core/load/bench-plugin.
//
//   node server.js PORTS_FILE SECRET

import { createHmac, timingSafeEqual } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { Server } from "socket.io";

const [portsFile, secret] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, { perMessageDeflate: false });
const presence = new Map(); // room -> user -> when

/** The `sub` of an HS256 token, when its signature is right. */
function userOf(token) {
  const [head, claims, signature] = String(token).split(".");
  const expected = createHmac("sha256", secret).update(`${head}.${claims}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  const parsed = JSON.parse(Buffer.from(claims, "base64url").toString());
  return parsed.userId ?? parsed.sub;
}

const bench = io.of("/bench");
bench.use((socket, next) => {
  socket.data.user = userOf(socket.handshake.auth.token);
  next(socket.data.user === undefined ? new Error("unauthorized") : undefined);
});
bench.on("connection", (socket) => {
  socket.on("join", ({ room }, ack) => {
    socket.join(room);
    if (!presence.has(room)) presence.set(room, new Map());
    presence.get(room).set(socket.data.user, Date.now());
    ack?.({ members: presence.get(room).size });
  });
  socket.on("publish", ({ room, payload }, ack) => {
    bench.to(room).emit("tick", payload);
    ack?.({});
  });
  socket.on("ask", (value, ack) => ack?.(value));
  socket.on("disconnecting", () => {
    for (const room of socket.rooms) presence.get(room)?.delete(socket.data.user);
  });
});

http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  const { address, port } = http.address();
  writeFileSync(portsFile, JSON.stringify({ public: `${address}:${port}`, pid: process.pid }));
});
