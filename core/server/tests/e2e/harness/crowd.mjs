// Many stock clients in many rooms of the bench plugin; each notes what it hears, by speaker, so that a test can say:
// everything, once, in order.

import assert from "node:assert/strict";

import { io } from "socket.io-client";

import { mint } from "./tokens.mjs";
import { inTime, until } from "./wait.mjs";

const CONNECTING = 100;

/** One client: its rooms, and what it has heard of each speaker. */
class Person {
  constructor(name, rooms, url, options) {
    this.name = name;
    this.rooms = rooms;
    /** By speaker: what it has heard. */
    this.heard = new Map();
    /** The next number that it will say, and those that were acknowledged, with their rooms. */
    this.next = 0;
    this.said = [];
    /** What it heard out of order or twice. */
    this.faults = [];
    this.drops = 0;
    this.socket = io(`${url}/bench`, { auth: { token: mint(name) }, transports: ["websocket"], forceNew: true, ...options });
    this.socket.on("tick", (payload) => this.#hear(payload));
    this.socket.on("disconnect", () => (this.drops += 1));
  }

  #hear([from, n]) {
    const numbers = this.heard.get(from) ?? [];
    if (n <= (numbers.at(-1) ?? -1)) this.faults.push(`${this.name} heard ${from} ${n} after ${numbers.at(-1)}`);
    numbers.push(n);
    this.heard.set(from, numbers);
  }

  async come() {
    if (!this.socket.connected) {
      await inTime(new Promise((resolve, reject) => {
        this.socket.once("connect", resolve);
        this.socket.once("connect_error", reject);
      }), 30_000, `${this.name} to connect`);
    }
    for (const room of this.rooms) await inTime(this.socket.emitWithAck("join", { room }), 30_000, `${this.name} to join`);
  }

  /** Says the next number, in its rooms by turns; resolves when it is acknowledged. */
  async say() {
    const n = this.next;
    this.next += 1;
    const room = this.rooms[n % this.rooms.length];
    await this.socket.timeout(15_000).emitWithAck("publish", { room, payload: [this.name, n] });
    this.said.push({ n, room });
  }

  /** What was said and acknowledged by a speaker in a room, and not heard here. */
  misses(speaker, room) {
    const heard = new Set(this.heard.get(speaker.name));
    return speaker.saidIn(room).filter((n) => !heard.has(n));
  }

  /** What it has said in a room. */
  saidIn(room) {
    return this.said.filter((one) => one.room === room).map((one) => one.n);
  }
}

export class Crowd {
  /** `count` people in `rooms` rooms, and all of them in the `hall` if there is one; the n-th connects to `url(n)`. */
  static async gather(t, count, rooms, url, { hall, ...options } = {}) {
    const crowd = new Crowd();
    crowd.people = [];
    t.after(() => crowd.people.forEach((person) => person.socket.disconnect()));
    for (let from = 0; from < count; from += CONNECTING) {
      const some = Array.from({ length: Math.min(CONNECTING, count - from) }, (_, at) => {
        const n = from + at;
        // Neighbours are at different nodes, so that every room is spread over all of them.
        const room = `room-${Math.floor(n / Math.ceil(count / rooms))}`;
        return new Person(`p${n}`, hall ? [room, hall] : [room], url(n), options);
      });
      crowd.people.push(...some);
      await Promise.all(some.map((person) => person.come()));
    }
    return crowd;
  }

  /** The people of each room but the hall. */
  get rooms() {
    return group(this.people, (person) => [person.rooms[0]]);
  }

  /** The people of each room. */
  get #all() {
    return group(this.people, (person) => person.rooms);
  }

  /** Everybody in `speakers` says `times` things, one after another. */
  talk(speakers, times) {
    return Promise.all(speakers.map(async (person) => {
      for (let n = 0; n < times; n += 1) await person.say();
    }));
  }

  /** Waits until everybody has heard all that was said in their room, and fails on anything twice or out of order. */
  async heardAll(within = 20_000) {
    for (const [room, people] of this.#all) {
      const said = people.filter((person) => person.saidIn(room).length > 0);
      const missing = () => people.flatMap((one) => said
        .filter((speaker) => one.misses(speaker, room).length > 0)
        .map((speaker) => `${one.name} misses ${one.misses(speaker, room).slice(0, 5)} of ${speaker.name}`));
      await until(() => missing().length === 0, { within, what: () => `${room}: ${missing().slice(0, 5)}` });
    }
    assert.deepEqual(this.people.flatMap((person) => person.faults).slice(0, 10), []);
  }

  /** How many messages have been heard in all. */
  deliveries() {
    return [...this.#all].reduce((sum, [room, people]) =>
      sum + people.length * people.reduce((said, person) => said + person.saidIn(room).length, 0), 0);
  }
}

function group(people, roomsOf) {
  const rooms = new Map();
  for (const person of people) {
    for (const room of roomsOf(person)) {
      if (!rooms.has(room)) rooms.set(room, []);
      rooms.get(room).push(person);
    }
  }
  return rooms;
}
