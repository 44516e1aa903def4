// A Socket.IO client of bare packets over one WebSocket: light enough for thousands in one process, and free to do
// what the stock client never would.

import { WebSocket } from "ws";

/** Engine.IO packet types. */
const OPEN = "0";
const PING = "2";
const PONG = "3";
const MESSAGE = "4";

export class RawClient {
  /**
   * Connects to a namespace at once; `local` is the source address, so that many fit beside each other, and `headers`
   * go with the handshake. `onPacket` sees everything else that comes.
   */
  constructor(hub, { local, auth, headers, namespace, onConnect, onEvent, onPacket } = {}) {
    this.namespace = namespace ? `${namespace},` : "";
    this.onPacket = onPacket;
    this.events = 0;
    this.connected = false;
    this.ready = new Promise((resolve, reject) => {
      this.ws = new WebSocket(`${hub.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, {
        localAddress: local,
        headers,
        perMessageDeflate: false,
        handshakeTimeout: 60_000,
      });
      this.ws.on("error", reject);
      this.ws.on("close", (code) => {
        this.closed = code;
        reject(new Error(`closed with ${code} before CONNECT`));
      });
      this.ws.on("message", (data) => this.#take(data.toString(), auth, onConnect, onEvent, resolve, reject));
    });
    this.ready.catch(() => {}); // asked for later, or never
  }

  /** Sends an event as one text frame. */
  emit(event, ...args) {
    this.ws.send(`${MESSAGE}2${JSON.stringify([event, ...args])}`);
  }

  end() {
    this.ws.terminate();
  }

  #take(packet, auth, onConnect, onEvent, resolve, reject) {
    if (packet[0] === OPEN) this.ws.send(`${MESSAGE}0${this.namespace}${auth ? JSON.stringify(auth) : ""}`);
    else if (packet[0] === PING) this.ws.send(PONG);
    else if (packet.startsWith("40")) {
      this.connected = true;
      onConnect?.(this);
      resolve(this);
    } else if (packet.startsWith("42")) {
      this.events += 1;
      onEvent?.(this, JSON.parse(packet.slice(2)));
    } else if (packet.startsWith("44")) reject(new Error(`refused: ${packet}`));
    this.onPacket?.(packet);
  }
}
