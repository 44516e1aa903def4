// Many stock clients in many rooms of the bench plugin; each notes what it hears, by speaker, so that a test can say:
// everything, once, in order.

import assert from "node:assert/strict";

import { io } from "socket.io-client";

import { mint } from "./tokens.mjs";
import { inTime, until } from "./wait.mjs";

const CONNECTING = 100;

/** One client: its room, and what it has heard of each speaker. */
class Person {
  constructor(name, room, url, options) {
    this.name = name;
    this.room = room;
    /** By speaker: what it has heard. */
    this.heard = new Map();
    /** The next number that it will say, and those that were acknowledged. */
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
    await inTime(this.socket.emitWithAck("join", { room: this.room }), 30_000, `${this.name} to join`);
  }

  /** Says the next number; resolves when it is acknowledged. */
  async say() {
    const n = this.next;
    this.next += 1;
    await this.socket.timeout(15_000).emitWithAck("publish", { room: this.room, payload: [this.name, n] });
    this.said.push(n);
  }

  /** What was said and acknowledged by a speaker and not heard here. */
  misses(speaker) {
    const heard = new Set(this.heard.get(speaker.name));
    return speaker.said.filter((n) => !heard.has(n));
  }
}

export class Crowd {
  /** `count` people in `rooms` rooms; the n-th connects to `url(n)`. */
  static async gather(t, count, rooms, url, options = {}) {
    const crowd = new Crowd();
    crowd.people = [];
    t.after(() => crowd.people.forEach((person) => person.socket.disconnect()));
    for (let from = 0; from < count; from += CONNECTING) {
      const some = Array.from({ length: Math.min(CONNECTING, count - from) }, (_, at) => {
        const n = from + at;
        // Neighbours are at different nodes, so that every room is spread over all of them.
        return new Person(`p${n}`, `room-${Math.floor(n / Math.ceil(count / rooms))}`, url(n), options);
      });
      crowd.people.push(...some);
      await Promise.all(some.map((person) => person.come()));
    }
    return crowd;
  }

  /** The people of each room. */
  get rooms() {
    return Map.groupBy?.(this.people, (person) => person.room) ?? group(this.people);
  }

  /** Everybody in `speakers` says `times` things, one after another. */
  talk(speakers, times) {
    return Promise.all(speakers.map(async (person) => {
      for (let n = 0; n < times; n += 1) await person.say();
    }));
  }

  /** Waits until everybody has heard all that was said in their room, and fails on anything twice or out of order. */
  async heardAll(within = 20_000) {
    for (const [room, people] of this.rooms) {
      const said = people.filter((person) => person.said.length > 0);
      const missing = () => people.flatMap((one) => said
        .filter((speaker) => one.misses(speaker).length > 0)
        .map((speaker) => `${one.name} misses ${one.misses(speaker).slice(0, 5)} of ${speaker.name}`));
      await until(() => missing().length === 0, { within, what: () => `${room}: ${missing().slice(0, 5)}` });
    }
    assert.deepEqual(this.people.flatMap((person) => person.faults).slice(0, 10), []);
  }

  /** How many messages have been heard in all. */
  deliveries() {
    return [...this.rooms.values()].reduce((sum, people) =>
      sum + people.length * people.reduce((said, person) => said + person.said.length, 0), 0);
  }
}

function group(people) {
  const rooms = new Map();
  for (const person of people) rooms.set(person.room, [...(rooms.get(person.room) ?? []), person]);
  return rooms;
}
