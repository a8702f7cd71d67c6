// One client: Socket.IO's own, with what a plain application does around it. Messages have ids of their sender's and are
// sent again until they are acknowledged; who comes back to a new session joins its rooms anew and reads in their
// histories what it has missed. Whatever it does and sees it tells the checker.

import { io } from "socket.io-client";
import { setTimeout as sleep } from "node:timers/promises";
import { choices } from "./schedule.mjs";

/** How long an acknowledgement is waited for before the event is sent again, milliseconds. */
const ACK_TIMEOUT = 8_000;

/** The least and the most time between two attempts to connect, milliseconds. */
const RECONNECT = [100, 2000];

/** Pause after an answer that says no, milliseconds. */
const AFTER_ERROR = 300;

/** How many pages back a client looks for the last message it has seen. */
const MOST_PAGES = 40;

/**
 * @typedef {object} Profile
 * @property {string} name
 * @property {string} namespace
 * @property {object} auth
 * @property {string | null} relay that it is always connected to; null: any
 * @property {string} url
 * @property {string[]} transports
 * @property {string[]} rooms
 * @property {boolean} moves whether it changes rooms
 * @property {number} every seconds between two messages, about
 */

/** What a message says: its id, and as much more as that determines. @param {string} id */
export function textOf(id) {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  const length = sum % 50 === 0 ? 12_000 : sum % 7 === 0 ? 1_500 : sum % 100;
  return `${id} ${"x".repeat(length)}`;
}

export class Person {
  /** Its id as a member, once it knows. @type {string | undefined} */
  member;
  /** Rooms it wants to be in, and is in as far as it knows. */
  wanted = new Set();
  rooms = new Set();
  /** Whether another one is on the same connection. */
  shares = false;
  #session;
  #sent = 0;
  #seen = new Map();
  #gone = false;
  #asked = 0;
  #random;

  /**
   * @param {Profile} profile
   * @param {import("./crowd.mjs").Crowd} crowd
   * @param {() => number} random
   * @param {import("socket.io-client").Manager} [manager] of a connection to share
   */
  constructor(profile, crowd, random, manager) {
    this.profile = profile;
    this.crowd = crowd;
    this.#random = random;
    for (const room of profile.rooms) this.wanted.add(room);
    const { namespace, auth, url, transports } = profile;
    this.socket = manager
      ? manager.socket(namespace, { auth })
      : io(url + namespace, { auth, transports, forceNew: true, reconnectionDelay: RECONNECT[0], reconnectionDelayMax: RECONNECT[1], timeout: 10_000 });
    this.socket.on("connect", () => this.#connected());
    this.socket.on("message", (message) => this.#received(message));
    this.socket.on("disconnect", (reason) => {
      crowd.count(`disconnect: ${reason}`);
      crowd.checker.lost(this.name);
      // Socket.IO's client keeps events that came before CONNECT when its connection ends there, and would emit them
      // beside those that it is given when it comes back.
      if (!crowd.knownFaults) this.socket.receiveBuffer = [];
      crowd.log(`${this.name} disconnect: ${reason}`);
    });
    this.socket.on("connect_error", (error) => crowd.refused(this, error));
    void this.#live();
  }

  get name() {
    return this.profile.name;
  }

  /** Its rooms' names for the checker: each namespace has its own. */
  #room(room) {
    return `${this.profile.namespace}#${room}`;
  }

  /** Whether it is where it wants to be and waits for nothing. */
  get atRest() {
    return this.socket.connected && this.#asked === 0 && this.member !== undefined && this.rooms.size === this.wanted.size;
  }

  /** What it waits for, in words. */
  get waitsFor() {
    const missing = [...this.wanted].filter((room) => !this.rooms.has(room));
    return `${this.name} (${this.socket.connected ? `session ${this.socket.id}` : "not connected"}): ${this.#asked} answers, rooms ${missing}`;
  }

  /** Loses its connection as clients do: the transport is gone, nobody said goodbye. */
  drop() {
    this.socket.io.engine?.close();
  }

  /**
   * Is away for a while, after a goodbye or without one. Who shares its connection says none: if it came back before the
   * server has read it, Socket.IO's client would take what comes meanwhile for part of the new session.
   */
  async away(seconds, mayTell) {
    if (!this.socket.connected) return;
    const goodbye = mayTell && !this.shares;
    this.crowd.count(goodbye ? "leaves with a goodbye" : "is away");
    if (goodbye) {
      this.socket.disconnect();
      await sleep(seconds * 1000);
      if (!this.#gone) this.socket.connect();
      return;
    }
    this.#reconnectAfter(seconds * 1000, seconds * 1000);
    this.drop();
    await sleep(seconds * 1000);
    this.#reconnectAfter(...RECONNECT);
  }

  #reconnectAfter(least, most) {
    this.socket.io.reconnectionDelay(least);
    this.socket.io.reconnectionDelayMax(most);
  }

  /** Goes for good, without a goodbye. */
  vanish() {
    this.#gone = true;
    this.crowd.checker.gone(this.name);
    this.socket.off();
    this.socket.io.reconnection(false);
    this.drop();
    this.socket.disconnect();
  }

  // What an auditor is asked when all rests.

  /** A room's history after a message, or all of it: ids, oldest first. */
  async read(room, last) {
    let ids = [];
    for (let before; ; before = ids[0]) {
      const page = await this.#insist("history", { room, limit: 100, before });
      const from = page.findIndex(({ id }) => id === last) + 1;
      ids = [...page.slice(from).map(({ id }) => id), ...ids];
      if (from > 0 || page.length < 100) return ids;
    }
  }

  /** The members that are listed in a room, and how many there are said to be. */
  async membersOf(room) {
    const ids = [];
    for (let after; ; ) {
      const { members, count, next } = await this.#insist("members", { room, after });
      ids.push(...members.map(({ id }) => id));
      if (next === undefined) return { ids, count };
      after = next;
    }
  }

  async #insist(event, argument) {
    for (let tries = 0; tries < 100; tries++) {
      const answer = await this.#ask(event, [argument], () => {});
      if (answer) return answer;
    }
    throw new Error(`${this.name} gets no answer to ${event} ${JSON.stringify(argument)}`);
  }

  // What happens to it.

  #connected() {
    const before = this.#session;
    const recovered = this.socket.recovered === true;
    this.crowd.log(`${this.name} (${this.profile.relay ?? "any relay"}) ${recovered ? "recovers" : "begins"} session ${this.socket.id}`);
    this.crowd.count(before === undefined ? "first connects" : recovered ? "recoveries" : "reconnects to a new session");
    if (recovered && this.socket.id !== before) this.crowd.checker.violation(`${this.name} has recovered session ${before} as ${this.socket.id}`);
    this.#enter();
  }

  /** Another id is another session, in which it is in no room. */
  #enter() {
    if (this.socket.id === this.#session) return;
    this.#session = this.socket.id;
    this.rooms.clear();
    this.crowd.checker.session(this.name, this.#session);
  }

  #received({ id, room, text }) {
    this.#enter();
    this.crowd.checker.received(this.name, this.#room(room), id);
    if (text !== textOf(id)) this.crowd.checker.violation(`${this.name} received ${id} with another text: ${text.slice(0, 100)}`);
    this.#seen.set(room, id);
  }

  // What it does: one thing after another, again until it is done.

  async #live() {
    const { between, one } = choices(this.#random);
    const { every, moves } = this.profile;
    let due = performance.now() + between(0, every) * 1000;
    while (!this.#gone) {
      if (!this.socket.connected) await this.#backAgain();
      else if (this.member === undefined) await this.#introduce();
      else if (await this.#tidyRooms()) continue;
      else if (this.crowd.quiet || performance.now() < due) await sleep(50);
      else {
        due = performance.now() + between(0.3, 1.7) * every * 1000;
        const what = this.#random();
        if (moves && what < 0.3) this.#move(one);
        else if (what < 0.35) await this.#say(one([...this.wanted]), Math.floor(between(5, 20)));
        else if (this.wanted.size > 0) await this.#say(one([...this.wanted]), 1);
      }
    }
  }

  #backAgain() {
    return new Promise((resolve) => {
      const done = () => (clearTimeout(timer), this.socket.off("connect", done), resolve(undefined));
      const timer = setTimeout(done, 200);
      this.socket.on("connect", done);
    });
  }

  async #introduce() {
    const answer = await this.#ask("whoami", [], () => {});
    this.member = answer?.id;
  }

  #move(one) {
    const all = this.crowd.roomsOf(this.profile.namespace);
    const room = one(all);
    if (this.wanted.has(room) && this.wanted.size > 1) this.wanted.delete(room);
    else this.wanted.add(room);
  }

  /** True if there was something to do. */
  async #tidyRooms() {
    for (const room of this.wanted) if (!this.rooms.has(room)) return this.#join(room);
    for (const room of this.rooms) if (!this.wanted.has(room)) return this.#leave(room);
    return false;
  }

  async #join(room) {
    const session = this.#session;
    this.crowd.checker.joining(this.name, this.#room(room));
    const answer = await this.#ask("join", [room], ({ messages }) => {
      this.rooms.add(room);
      this.crowd.log(`${this.name} has joined ${room} after ${messages.at(-1)?.id}`);
      this.crowd.checker.joined(this.name, this.#room(room), messages.map(({ id }) => id));
    });
    if (answer && this.#session === session) await this.#catchUp(room, answer.messages.map(({ id }) => id));
    return true;
  }

  async #leave(room) {
    this.crowd.checker.leaving(this.name, this.#room(room));
    this.crowd.log(`${this.name} leaves ${room}`);
    const left = () => {
      this.rooms.delete(room);
      this.crowd.log(`${this.name} has left ${room}`);
      this.#seen.delete(room);
      this.crowd.checker.left(this.name, this.#room(room));
    };
    await this.#ask("leave", [room], left, { not_joined: left });
    return true;
  }

  /** Reads what was said since the last message that it saw. */
  async #catchUp(room, ids) {
    const last = this.#seen.get(room);
    let oldest = ids[0];
    for (let page = 0; last !== undefined && oldest !== undefined && !ids.includes(last) && page < MOST_PAGES; page++) {
      const older = await this.#ask("history", [{ room, limit: 100, before: oldest }], () => {});
      if (!older) return;
      ids = older.map(({ id }) => id);
      this.crowd.checker.shown(this.name, this.#room(room), ids, oldest);
      oldest = ids[0];
    }
  }

  /** Says something, several at once perhaps, until each is acknowledged. */
  async #say(room, count) {
    const one = async () => {
      const id = `${this.name}.${this.#sent++}`;
      const began = performance.now();
      this.crowd.checker.sent(this.name, this.#room(room), id);
      while (!this.#gone) {
        if (!this.socket.connected) await this.#backAgain();
        else if (this.rooms.has(room)) {
          const answer = await this.#ask("message", [{ room, text: textOf(id), id }], (told) => this.crowd.checker.ack(id, told.id), {
            not_joined: () => this.rooms.delete(room),
          });
          if (answer) return this.crowd.latency(performance.now() - began);
        } else await this.#join(room);
      }
    };
    await Promise.all(Array.from({ length: count }, one));
  }

  /**
   * Asks once. `done` is called with the answer as it comes, before anything that comes after it.
   * @param {string} event @param {any[]} args @param {(answer: any) => void} done
   * @param {Record<string, () => void>} [refused] what an error with that code means
   * @returns {Promise<any>} the answer, or nothing if it did not come or says no
   */
  async #ask(event, args, done, refused = {}) {
    const session = this.#session;
    this.#asked += 1;
    const answer = await new Promise((resolve) => {
      this.socket.timeout(ACK_TIMEOUT).emit(event, ...args, (missing, answer) => {
        if (missing || this.#gone || this.#session !== session) return resolve(undefined);
        const code = answer?.error?.code;
        if (code === undefined) done(answer);
        else refused[code]?.();
        if (code !== undefined) this.crowd.count(`${event} refused: ${code}`);
        resolve(code === undefined ? answer : null);
      });
    });
    if (answer === null) await sleep(AFTER_ERROR);
    if (answer === undefined) await sleep(20);
    this.#asked -= 1;
    return answer ?? undefined;
  }
}
