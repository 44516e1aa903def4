// A stock client with the types of /types.d.ts. Lines that are marked must not compile.

import { io, type Socket } from "socket.io-client";
import type {
  Acknowledged,
  ClientToServerEvents,
  Injected,
  Methods,
  Namespaces,
  Problem,
  Routes,
  ServerToClientEvents,
  WsRoomsClientMessage,
  WsRoomsServerMessage,
} from "./hub.js";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://127.0.0.1:3000", { auth: { token: "…" } });

socket.on("participants_updated", ({ participants, totalParticipants }) => {
  const names: (string | null | undefined)[] = participants.map((one) => one.fullName);
  console.log(names, totalParticipants.toFixed());
});
socket.on("video-frame", (frame, meta) => console.log(frame.byteLength, meta.participantId));
socket.on("connect_error", (error) => console.log(error.message));
socket.emit("join_meeting", { meetingId: "m" }, (ack) => {
  if (ack.success) console.log(ack.participants.length);
  else console.log(ack.error);
});
socket.emit("leave_meeting", { meetingId: "m" });
socket.emit("video-frame", new Uint8Array(1), { participantId: "p" });

const asking: Socket<ServerToClientEvents, Acknowledged<ClientToServerEvents>> = io("http://127.0.0.1:3000");
const joined = await asking.emitWithAck("join_meeting", { meetingId: "m" });
if (joined.success) console.log(joined.participants.length);
// @ts-expect-error: the answer has no such field
console.log(joined.members);

// @ts-expect-error: no such event comes
socket.on("participants_update", () => {});
// @ts-expect-error: no such event is taken
socket.emit("join_meetings", { meetingId: "m" });
// @ts-expect-error: a field is missing
socket.emit("join_meeting", {});
// @ts-expect-error: a field is of another type
socket.emit("join_meeting", { meetingId: 7 });
// @ts-expect-error: a field is not there
socket.on("phaseChanged", ({ phases }) => console.log(phases));

type Room = Namespaces["/public-room/{roomId}"];
const room: Socket<Room["serverToClient"], Room["clientToServer"]> = io("http://127.0.0.1:3000/public-room/lobby");
room.on("ping", () => room.emit("pong"));
room.on("user-joined", ({ userName, currentOccupancy }) => console.log(userName, currentOccupancy));
// @ts-expect-error: this one belongs to another namespace
room.emit("join_meeting", { meetingId: "m" });

const link = new WebSocket("ws://127.0.0.1:3000/ws/rooms");
const say = (message: WsRoomsClientMessage) => link.send(JSON.stringify(message));
say({ action: "JOIN_ROOM", roomId: 1 });
// @ts-expect-error: there is no such action
say({ action: "DANCE" });
link.onmessage = ({ data }) => {
  const message: WsRoomsServerMessage = JSON.parse(data);
  if (message.type === "ROOM_UPDATE") console.log(message.currentParticipants);
};

type Making = Routes["POST /meetings"];
const body: Making["body"] = { title: "Monday" };
const answer: Making["answer"] | Problem = await (await fetch("/meetings", { method: "POST", body: JSON.stringify(body) })).json();
if ("code" in answer) console.log(answer.code);
else console.log(answer.participantIds.length);

const phase: Injected["meetings.phase"] = { phase: "voting" };
const results: Methods["meetings.results"]["body"] = { meetingId: "m" };
console.log(phase, results);
