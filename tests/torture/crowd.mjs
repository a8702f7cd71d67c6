// The clients all together: who there is, where each belongs, and how they come to rest. What each does is its own
// business (person.mjs).

import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Person } from "./person.mjs";
import { choices, stream } from "./schedule.mjs";

/** Rooms of each namespace. */
const ROOMS = { "/": ["hall", "kitchen", "garden", "attic", "cellar", "porch"], "/members": ["board", "office", "lounge"] };

/** Messages that all clients together send in a second, about. */
const MESSAGES = 40;

/** What of the clients is where. */
const SHARE_OF_MEMBERS = 0.25, SHARE_OF_MOVERS = 0.15, SHARE_OF_WANDERERS = 0.15, SHARE_OF_PAIRS = 0.1;

export class Crowd {
  /** True: nobody begins anything new. */
  quiet = false;
  /** @type {Person[]} */
  people = [];
  /** @type {Map<string, number>} */
  counts = new Map();
  /** Milliseconds from the first attempt to the acknowledgement. @type {number[]} */
  latencies = [];
  #number = 0;

  /**
   * @param {{seed: number, size: number, server: import("./server.mjs").Server, checker: import("./checker.mjs").Checker,
   *   knownFaults: boolean, log: (what: string) => void}} options `knownFaults`: what a client received before CONNECT
   *   stays in its buffer when the connection ends
   */
  constructor({ seed, size, server, checker, knownFaults, log }) {
    this.knownFaults = knownFaults;
    this.log = log;
    this.seed = seed;
    this.size = size;
    this.server = server;
    this.checker = checker;
  }

  roomsOf(namespace) {
    return ROOMS[namespace];
  }

  count(what) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  latency(milliseconds) {
    this.latencies.push(milliseconds);
  }

  /** A client was not let in. While things fail it tries again. */
  refused(person, error) {
    this.count(`connect_error: ${error.message}`);
    if (error.data) this.checker.violation(`${person.name} was refused: ${error.message} ${JSON.stringify(error.data)}`);
    // What a namespace refuses is not tried again by Socket.IO's client.
    if (person.socket.active) return;
    setTimeout(() => person.socket.connect(), 500);
  }

  /** All come, a few at a time. One in each namespace is in all rooms and says nothing: the auditor. */
  async arrive() {
    this.auditors = Object.keys(ROOMS).map((namespace) => this.#newcomer({ namespace, rooms: ROOMS[namespace], moves: false, every: 1e9, relay: "relay-1", transports: ["websocket"] }));
    while (this.people.length < this.size) {
      this.#newcomer();
      if (this.people.length % 20 === 0) await sleep(100);
    }
  }

  #newcomer(given = {}) {
    const number = this.#number++;
    const name = `c${number}`;
    const random = stream(this.seed, "client", number);
    const { one, shuffled } = choices(random);
    const relays = this.server.form.relays;
    const namespace = random() < SHARE_OF_MEMBERS ? "/members" : "/";
    const wanders = relays > 1 && random() < SHARE_OF_WANDERERS;
    const relay = wanders ? null : `relay-${1 + Math.floor(random() * relays)}`;
    const transports = wanders ? ["websocket"] : one([["websocket"], ["websocket"], ["websocket"], ["polling", "websocket"], ["polling"]]);
    const rooms = (namespace) => shuffled(ROOMS[namespace]).slice(0, 2);
    const profile = { name, namespace, relay, transports, rooms: rooms(namespace), moves: random() < SHARE_OF_MOVERS, every: this.size / MESSAGES, ...given };
    profile.auth = this.#auth(profile.namespace, name);
    const link = this.server.links.get(profile.relay ? profile.relay.replace("relay", "clients") : "clients-any");
    profile.url = `http://127.0.0.1:${link?.port}`;
    const person = new Person(profile, this, random);
    this.people.push(person);
    if (random() < SHARE_OF_PAIRS && !given.namespace) this.#sibling(person, number, random);
    return person;
  }

  /** The same connection in the other namespace, too. */
  #sibling(person, number, random) {
    const { profile, socket } = person;
    const namespace = profile.namespace === "/" ? "/members" : "/";
    const name = `c${number}b`;
    const rooms = ROOMS[namespace].slice(0, 2);
    const sibling = new Person({ ...profile, name, namespace, rooms, auth: this.#auth(namespace, name) }, this, random, socket.io);
    sibling.shares = person.shares = true;
    this.people.push(sibling);
  }

  #auth(namespace, name) {
    if (namespace === "/") return { name, key: `torture-${name}-`.padEnd(24, "k") };
    return { token: token(this.server.secrets.SPIN_VARIABLE_AUTH_SECRET, { sub: name, name, exp: Math.floor(Date.now() / 1000) + 86_400 }) };
  }

  // What the schedule does to them.

  /** Those that a fault's number chooses, the auditors never. */
  #chosen({ share, number }) {
    const { shuffled } = choices(stream(this.seed, "chosen", number));
    const others = this.people.filter((person) => !this.auditors.includes(person));
    return shuffled(others).slice(0, Math.ceil(others.length * share));
  }

  drop(fault) {
    for (const person of this.#chosen(fault)) person.drop();
  }

  away(fault) {
    const goodbyes = stream(this.seed, "goodbyes", fault.number);
    return Promise.all(this.#chosen(fault).map((person) => person.away(fault.seconds, goodbyes() < 0.5)));
  }

  /** Some go for good, others come. */
  replace(fault) {
    const gone = this.#chosen(fault);
    // Who shares a connection goes with it.
    const all = this.people.filter(({ socket }) => gone.some((person) => person.socket.io === socket.io));
    for (const person of all) person.vanish();
    this.people = this.people.filter((person) => !all.includes(person));
    while (this.people.length < this.size) this.#newcomer();
    this.count("clients gone for good");
  }

  // At rest.

  /** Who does not rest. */
  get restless() {
    return this.people.filter((person) => !person.atRest);
  }

  /** Reads what the histories have that the checker does not know, or all. */
  async readHistories(all = false) {
    for (const auditor of this.auditors) {
      const { namespace } = auditor.profile;
      for (const room of ROOMS[namespace]) {
        const name = `${namespace}#${room}`;
        const last = all ? undefined : this.checker.lastKnown(name);
        const ids = await auditor.read(room, last);
        if (all) this.checker.reread(name, ids);
        else this.checker.extend(name, ids);
      }
    }
  }

  /** Who is listed in each room, and who is there: `[room, listed, present]`. */
  async members() {
    const lists = [];
    for (const auditor of this.auditors) {
      const { namespace } = auditor.profile;
      for (const room of ROOMS[namespace]) {
        const { ids: listed, count } = await auditor.membersOf(room);
        if (count !== listed.length) listed.push(`count ${count}`);
        const present = this.people.filter((person) => person.profile.namespace === namespace && person.rooms.has(room));
        lists.push([`${namespace}#${room}`, listed, present.map(({ member }) => member)]);
      }
    }
    return lists;
  }

  leave() {
    for (const person of this.people) person.vanish();
  }
}

/** A token for `/members`, as the application's own sign-in would make it: HS256. */
function token(secret, claims) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
