// Judges what clients saw. It knows what each client sent, was told (acknowledgements, histories) and received, in
// which order, when it joined and left and which session it was in; and nothing of what the server is made of.
//
// A message is known by its sender's id for it. The reference is the history of its room, which only grows. From
// the moment a client has joined, until it leaves or its session is over, it must receive exactly what follows in
// the history: nothing twice, nothing left out, in that order, whichever relay it is connected to. What was said
// before it joined it must not hear. This is checked at each rest, when all is said.

/** How many violations are described; after that they are counted. */
const DESCRIBED = 50;

/** @typedef {{room: string, sender: string, sentAt: number, ackedAt?: number, serial?: number}} Message */

/** A client's stay in a room. */
class Stay {
  /** The last message of the history when it joined, once it knows. @type {string | null | undefined} */
  after;
  /** Received since the last rest. @type {string[]} */
  received = [];
  /** How many of `received` came before the answer to `join`. */
  early = 0;
  /** The index of what must come next, once it is known. @type {number | undefined} */
  next;
  /** Indexes of messages that came before the answer to `join`, and of those that were missed. */
  came = new Set();
  missed = new Set();
  /** The number of acknowledgements before `leave` was sent: all those messages must have come. */
  leftAfter = Infinity;
  /** The connection was lost after that. */
  lostOnLeaving = false;
  closed = false;

  constructor(client, session, room) {
    Object.assign(this, { client, session, room });
  }
}

class Room {
  /** @type {string[]} */
  history = [];
  /** Where a message is in the history. @type {Map<string, number>} */
  index = new Map();
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
  /** @type {Map<string, {session: string, stays: Map<string, Stay>}>} */
  #clients = new Map();
  /** Stays that are over, to be judged at the next rest. @type {Stay[]} */
  #over = [];
  #now;

  /** @param {{now?: () => number}} options `now`: seconds since the test began */
  constructor({ now = () => 0 } = {}) {
    this.#now = now;
  }

  violation(text) {
    if (this.violations.length < DESCRIBED) this.violations.push(`at ${this.#now().toFixed(1)} s: ${text}`);
    else this.uncounted += 1;
  }

  // What clients do and see.

  sent(sender, room, id) {
    this.messages.set(id, { room, sender, sentAt: this.#now() });
  }

  ack(id, told) {
    const message = this.messages.get(id);
    if (told !== id) this.violation(`the acknowledgement of ${id} is for ${told}`);
    if (!message || message.ackedAt !== undefined) return;
    message.ackedAt = this.#now();
    message.serial = this.acked++;
    this.#justAcked.push(id);
  }

  /** A client is connected in a session that is not the one before. */
  session(client, session) {
    this.gone(client);
    this.#clients.set(client, { session, stays: new Map() });
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
    const { stays, session } = this.#client(client);
    if (!stays.has(room)) stays.set(room, new Stay(client, session, room));
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
      } else room.index.set(id, room.history.push(id) - 1);
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
    if (stay.after !== undefined) stay.next ??= start + 1;
    const received = stay.after === undefined && !stay.closed ? [] : stay.received.splice(0);
    for (const [place, id] of received.entries()) {
      const index = room.index.get(id);
      if (index === undefined) this.violation(`${stay.client} received ${this.#about(id)}, which is not in the history of ${stay.room}`);
      // What came before the answer to `join` may be in the history that this shows.
      else if (stay.after === undefined || (index <= start && place < stay.early)) this.#first(stay, id, index);
      else if (index <= start && !stay.came.has(index)) this.violation(`${this.#receipt(stay, id)}, which was said before it joined ${stay.room}`);
      else this.#inTurn(stay, room, id, index);
    }
    stay.early = 0;
    if (stay.closed) this.#judgeEnd(stay);
  }

  /** A message that no order is known for: it comes once. */
  #first(stay, id, index) {
    if (stay.came.has(index)) this.violation(`${this.#receipt(stay, id)} twice`);
    stay.came.add(index);
  }

  #inTurn(stay, room, id, index) {
    if (index >= stay.next) {
      const missed = room.history.slice(stay.next, index);
      for (let at = stay.next; at < index; at++) stay.missed.add(at);
      if (missed.length > 0) this.violation(`${this.#receipt(stay, id)} before, or without, what precedes it in the history of ${stay.room}: ${this.#list(missed)}`);
      stay.next = index + 1;
    } else if (stay.missed.delete(index)) this.violation(`${this.#receipt(stay, id)} late, out of order`);
    else this.violation(`${this.#receipt(stay, id)} twice`);
  }

  /** It has left: what had been acknowledged before must have come. */
  #judgeEnd(stay) {
    if (stay.leftAfter === Infinity || stay.lostOnLeaving || stay.after === undefined) return;
    for (const id of this.#missing(stay)) {
      const { serial } = this.messages.get(id) ?? {};
      if (serial !== undefined && serial < stay.leftAfter) {
        this.violation(`${stay.client} (session ${stay.session}) has left ${stay.room} without having received ${this.#about(id)}`);
      }
    }
  }

  #missing(stay) {
    return this.#room(stay.room).history.slice(stay.next);
  }

  #receipt(stay, id) {
    return `${stay.client} (session ${stay.session}) received ${this.#about(id)}`;
  }

  #list(ids) {
    return ids.slice(0, 5).map((id) => this.#about(id)).join(", ") + (ids.length > 5 ? ` and ${ids.length - 5} more` : "");
  }

  #about(id) {
    const message = this.messages.get(id);
    if (!message) return String(id);
    const acked = message.ackedAt === undefined ? "not acknowledged" : `acknowledged at ${message.ackedAt.toFixed(1)}`;
    return `${id} (sent at ${message.sentAt.toFixed(1)}, ${acked}, by ${message.sender})`;
  }
}
