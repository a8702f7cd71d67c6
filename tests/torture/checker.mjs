// Judges what clients saw. It knows what each client sent, was told (acknowledgements, histories) and received, in
// which order, when it joined and left and which session it was in; and nothing of what the server is made of.
//
// A message is known by its sender's id for it. The reference is the history of its room, which only grows. From
// the moment a client has joined, until it leaves or its session is over, it must receive exactly what follows in
// the history: nothing twice, nothing left out, in that order. This is checked at each rest, when all is said.
//
// With order "all" that order is promised for all messages; with order "relay" for those that clients of the same
// relay sent, of the others only that they come, once: a relay that may have missed something ends its clients'
// connections, and they get it when they come back.

/** How many violations are described; after that they are counted. */
const DESCRIBED = 50;

/** @typedef {{room: string, sender: string, source: string | null, sentAt: number, ackedAt?: number, serial?: number}} Message */

/** A client's stay in a room. */
class Stay {
  /** The last message of the history when it joined, once it knows. @type {string | null | undefined} */
  after;
  /** Received since the last rest. @type {string[]} */
  received = [];
  /** How many of `received` came before the answer to `join`. */
  early = 0;
  /** For each source: the place in its stream of what must come next. @type {Map<string | null, number>} */
  next = new Map();
  /** Indexes of messages that have come out of turn, and of those that were missed. */
  came = new Set();
  missed = new Set();
  /** The number of acknowledgements before `leave` was sent: all those messages must have come. */
  leftAfter = Infinity;
  /** The connection was lost after that. */
  lostOnLeaving = false;
  closed = false;

  constructor(client, session, relay, room) {
    Object.assign(this, { client, session, relay, room });
  }
}

class Room {
  /** @type {string[]} */
  history = [];
  /** Where a message is in the history. @type {Map<string, number>} */
  index = new Map();
  /** Indexes of the messages of each source. @type {Map<string | null, number[]>} */
  streams = new Map();
  /** Parts of the history that clients were shown: ids, oldest first. @type {{client: string, ids: string[], before?: string}[]} */
  shown = [];
}

export class Checker {
  /** @type {string[]} */
  violations = [];
  uncounted = 0;
  delivered = 0;
  acked = 0;
  /** @type {Map<string, Message>} */
  messages = new Map();
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** Acknowledged since the last rest. @type {string[]} */
  #justAcked = [];
  /** @type {Map<string, {session: string, relay: string | null, stays: Map<string, Stay>}>} */
  #clients = new Map();
  /** Stays that are over, to be judged at the next rest. @type {Stay[]} */
  #over = [];
  #order;
  #now;

  /** @param {{order?: "relay" | "all", now?: () => number}} options `now`: seconds since the test began */
  constructor({ order = "relay", now = () => 0 } = {}) {
    this.#order = order;
    this.#now = now;
  }

  violation(text) {
    if (this.violations.length < DESCRIBED) this.violations.push(`at ${this.#now().toFixed(1)} s: ${text}`);
    else this.uncounted += 1;
  }

  // What clients do and see.

  /** @param {string} sender @param {string | null} relay that the sender is always connected to */
  sent(sender, relay, room, id) {
    const source = this.#order === "all" ? "*" : relay;
    this.messages.set(id, { room, sender, source, sentAt: this.#now() });
  }

  ack(id, told) {
    const message = this.messages.get(id);
    if (told !== id) this.violation(`the acknowledgement of ${id} is for ${told}`);
    if (!message || message.ackedAt !== undefined) return;
    message.ackedAt = this.#now();
    message.serial = this.acked++;
    this.#justAcked.push(id);
  }

  /** A client is connected in a session that is not the one before. @param {string | null} relay that it is always connected to */
  session(client, session, relay) {
    this.gone(client);
    this.#clients.set(client, { session, relay, stays: new Map() });
  }

  /** A client will not come back to its session. */
  gone(client) {
    for (const stay of this.#clients.get(client)?.stays.values() ?? []) {
      stay.leftAfter = Infinity;
      this.#close(stay);
    }
    this.#clients.delete(client);
  }

  joining(client, room) {
    const { stays, session, relay } = this.#client(client);
    if (!stays.has(room)) stays.set(room, new Stay(client, session, relay, room));
  }

  /** @param {string[]} shown the end of the history, as it was then */
  joined(client, room, shown) {
    const stay = this.#client(client).stays.get(room);
    if (!stay) return this.violation(`${client} has joined ${room} without having asked`);
    if (stay.after === undefined) {
      stay.early = stay.received.length;
      stay.after = shown.at(-1) ?? null;
    }
    this.shown(client, room, shown);
  }

  leaving(client, room) {
    const stay = this.#client(client).stays.get(room);
    if (stay) stay.leftAfter = Math.min(stay.leftAfter, this.acked);
  }

  /** A client has lost its connection. What was under way when it leaves a room is not made up for any more. */
  lost(client) {
    for (const stay of this.#clients.get(client)?.stays.values() ?? []) stay.lostOnLeaving ||= stay.leftAfter !== Infinity;
  }

  left(client, room) {
    const { stays } = this.#client(client);
    const stay = stays.get(room);
    if (stay) this.#close(stay);
    stays.delete(room);
  }

  received(client, room, id) {
    this.delivered += 1;
    const known = this.#clients.get(client);
    const stay = known?.stays.get(room);
    if (!stay) return this.violation(`${client} received ${this.#about(id)} of ${room}, which it is not in (session ${known?.session})`);
    stay.received.push(id);
  }

  /** A client was shown a part of the history. @param {string} [before] what comes next in it */
  shown(client, room, ids, before) {
    if (ids.length > 0) this.#room(room).shown.push({ client, ids, before });
  }

  /** Who is listed as a member, and who is one, when all has come to rest. */
  members(room, listed, present) {
    const ghosts = listed.filter((id) => !present.includes(id));
    const unlisted = present.filter((id) => !listed.includes(id));
    if (ghosts.length > 0) this.violation(`ghosts in ${room}: ${ghosts.join(", ")} are listed and not there`);
    if (unlisted.length > 0) this.violation(`in ${room} and not listed: ${unlisted.join(", ")}`);
    return ghosts.length + unlisted.length === 0;
  }

  // When all has come to rest.

  /** The last message of a room's history that was known at the last rest. */
  lastKnown(room) {
    return this.#room(room).history.at(-1);
  }

  /** What the history has after that. @param {string[]} ids */
  extend(name, ids) {
    const room = this.#room(name);
    for (const id of ids) {
      const message = this.messages.get(id);
      if (!message) this.violation(`the history of ${name} has ${id}, which nobody has sent`);
      else if (message.room !== name) this.violation(`the history of ${name} has ${id}, which was sent to ${message.room}`);
      if (room.index.has(id)) {
        this.violation(`the history of ${name} has ${this.#about(id)} twice`);
        continue;
      }
      const index = room.history.push(id) - 1;
      room.index.set(id, index);
      const source = message?.source ?? null;
      const stream = room.streams.get(source) ?? [];
      room.streams.set(source, stream);
      stream.push(index);
    }
  }

  /** All histories are up to date: judges everything but what is still to come. */
  judge() {
    for (const id of this.#justAcked.splice(0)) {
      const { room } = /** @type {Message} */ (this.messages.get(id));
      if (!this.#room(room).index.has(id)) this.violation(`${this.#about(id)} was acknowledged and is not in the history`);
    }
    for (const [name, room] of this.#rooms) for (const part of room.shown.splice(0)) this.#judgeShown(name, room, part);
    for (const stay of this.#over.splice(0)) this.#judgeStay(stay);
    for (const { stays } of this.#clients.values()) for (const stay of stays.values()) this.#judgeStay(stay);
  }

  /** What members have not received yet and must, one line each. */
  outstanding() {
    const lines = [];
    for (const [client, { stays }] of this.#clients) {
      for (const stay of stays.values()) {
        if (stay.after === undefined) continue;
        const missing = this.#missing(stay);
        if (missing.length > 0) lines.push(`${client} (session ${stay.session}) has not received of ${stay.room}: ${this.#list(missing)}`);
      }
    }
    return lines;
  }

  /** The whole history, read again. @param {string[]} ids */
  reread(name, ids) {
    const { history } = this.#room(name);
    const at = history.findIndex((id, index) => ids[index] !== id);
    if (at >= 0) this.violation(`the history of ${name} is another than before: at ${at} of ${history.length} was ${this.#about(history[at])}, now ${ids[at]}`);
    else if (ids.length > history.length) this.extend(name, ids.slice(history.length));
  }

  #client(name) {
    const client = this.#clients.get(name);
    if (!client) throw new Error(`${name} has no session`);
    return client;
  }

  #room(name) {
    let room = this.#rooms.get(name);
    if (!room) this.#rooms.set(name, (room = new Room()));
    return room;
  }

  #close(stay) {
    stay.closed = true;
    this.#over.push(stay);
  }

  #judgeShown(name, room, { client, ids, before }) {
    const first = room.index.get(ids[0]);
    const lost = ids.find((id) => !room.index.has(id));
    if (lost !== undefined) return this.violation(`${client} was shown ${this.#about(lost)} in the history of ${name}, which is not there any more`);
    const wrong = ids.findIndex((id, place) => room.index.get(id) !== first + place);
    if (wrong >= 0) this.violation(`${client} was shown a history of ${name} in which ${ids[wrong]} follows on ${ids[wrong - 1]}`);
    if (before !== undefined && room.index.get(before) !== first + ids.length) {
      this.violation(`${client} asked for the history of ${name} before ${before} and was shown ${ids.at(-1)} as the last`);
    }
  }

  /** Takes in what has been received since the last time. */
  #judgeStay(stay) {
    const room = this.#room(stay.room);
    const start = stay.after == null ? -1 : room.index.get(stay.after) ?? -1;
    if (stay.after !== undefined && stay.next.size === 0) {
      for (const [source, stream] of room.streams) stay.next.set(source, firstAfter(stream, start));
    }
    const received = stay.after === undefined && !stay.closed ? [] : stay.received.splice(0);
    for (const [place, id] of received.entries()) {
      const index = room.index.get(id);
      const { source } = this.messages.get(id) ?? { source: null };
      if (index === undefined) this.violation(`${stay.client} received ${this.#about(id)}, which is not in the history of ${stay.room}`);
      else if (stay.after === undefined) this.#first(stay, id, index);
      // What was said before it joined: another relay's message may have been under way.
      else if (index <= start && (place < stay.early || (this.#order === "relay" && (source === null || source !== stay.relay)))) this.#first(stay, id, index);
      else this.#inTurn(stay, room, id, index, source);
    }
    stay.early = 0;
    if (stay.closed) this.#judgeEnd(stay, room);
  }

  /** A message that no order is known for: it comes once. */
  #first(stay, id, index) {
    if (stay.came.has(index)) this.violation(`${stay.client} (session ${stay.session}) received ${this.#about(id)} twice`);
    stay.came.add(index);
  }

  #inTurn(stay, room, id, index, source) {
    const stream = /** @type {number[]} */ (room.streams.get(source));
    const next = stay.next.get(source) ?? 0;
    const place = firstAfter(stream, index - 1);
    const ordered = this.#order === "all" || (source !== null && source === stay.relay);
    if (!ordered && place >= next) {
      this.#first(stay, id, index);
      let upTo = next;
      while (upTo < stream.length && stay.came.delete(stream[upTo])) upTo += 1;
      stay.next.set(source, upTo);
    } else if (place === next) {
      stay.next.set(source, next + 1);
    } else if (place > next) {
      const missed = stream.slice(next, place);
      missed.forEach((index) => stay.missed.add(index));
      this.violation(
        `${stay.client} (session ${stay.session}) received ${this.#about(id)} before, or without, what precedes it in the history of ` +
          `${stay.room}: ${this.#list(missed.map((index) => room.history[index]))}`,
      );
      stay.next.set(source, place + 1);
    } else if (stay.missed.delete(index)) {
      this.violation(`${stay.client} (session ${stay.session}) received ${this.#about(id)} late, out of order`);
    } else {
      this.violation(`${stay.client} (session ${stay.session}) received ${this.#about(id)} twice`);
    }
  }

  /** It has left: what its own relay's clients had been acknowledged before must have come. */
  #judgeEnd(stay, room) {
    if (stay.leftAfter === Infinity || stay.lostOnLeaving || stay.after === undefined) return;
    const own = this.#order === "all" ? "*" : stay.relay;
    if (own === null) return;
    for (const index of (room.streams.get(own) ?? []).slice(stay.next.get(own) ?? 0)) {
      const { serial } = this.messages.get(room.history[index]) ?? {};
      if (serial !== undefined && serial < stay.leftAfter) {
        this.violation(`${stay.client} (session ${stay.session}) has left ${stay.room} without having received ${this.#about(room.history[index])}`);
      }
    }
  }

  #missing(stay) {
    const room = this.#room(stay.room);
    const missing = [];
    for (const [source, stream] of room.streams) {
      const rest = stream.slice(stay.next.get(source) ?? 0).filter((index) => !stay.came.has(index));
      missing.push(...rest.map((index) => room.history[index]));
    }
    return missing;
  }

  #list(ids) {
    return ids.slice(0, 5).map((id) => this.#about(id)).join(", ") + (ids.length > 5 ? ` and ${ids.length - 5} more` : "");
  }

  #about(id) {
    const message = this.messages.get(id);
    if (!message) return String(id);
    const acked = message.ackedAt === undefined ? "not acknowledged" : `acknowledged at ${message.ackedAt.toFixed(1)}`;
    return `${id} (sent at ${message.sentAt.toFixed(1)}, ${acked}, by a client of ${message.source ?? "any relay"})`;
  }
}

/** The first place in a rising list whose number is above `least`. @param {number[]} list */
function firstAfter(list, least) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] > least) high = middle;
    else low = middle + 1;
  }
  return low;
}
