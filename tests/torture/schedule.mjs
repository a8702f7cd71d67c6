// What happens to a server when: rounds of faults, made of the seed and of the place in the schedule alone, so that the
// same seed gives the same schedule, whatever came of it. Nothing is done here.

import { createHash } from "node:crypto";
import { MODES } from "./powerloss.mjs";

/** A round's faults are over after this many seconds; then everything must come to rest. */
export const ROUND_SECONDS = 14;

/** How many faults begin in a round. */
const FAULTS = { least: 4, most: 9 };

/** Random numbers from 0 to 1, the same for the same place. @param {...(string | number)} place the seed first */
export function stream(...place) {
  let state = createHash("sha256").update(JSON.stringify(place)).digest().readUInt32LE();
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** What there is to choose from. @param {() => number} random */
export function choices(random) {
  const between = (least, most) => least + random() * (most - least);
  return {
    between,
    whole: (least, most) => Math.floor(between(least, most + 1)),
    one: (list) => list[Math.floor(random() * list.length)],
    /** The same list in another order. */
    shuffled(list) {
      const rest = [...list];
      for (let last = rest.length - 1; last > 0; last--) {
        const other = Math.floor(random() * (last + 1));
        [rest[last], rest[other]] = [rest[other], rest[last]];
      }
      return rest;
    },
  };
}

/**
 * @typedef {object} Fault
 * @property {number} at seconds since the round began
 * @property {string} kind
 * @property {string} target a process, a link, `disk`, `database` or `clients`; two faults of one do not overlap
 * @property {number} seconds how long it lasts
 * @property {number} [milliseconds] how late a link is
 * @property {import("./powerloss.mjs").Mode} [mode] what a loss of power loses
 * @property {number} [changes] before so many changes of files are done, power is lost
 * @property {number} [changesAfter] the same, for its next life
 * @property {"near" | "far"} [end] of a link's connections: at that end they are gone
 * @property {number} [share] of the clients, from 0 to 1
 * @property {number} [number] chooses the clients
 *
 * @typedef {object} Form what a server is made of, by name
 * @property {string} app the process that has the database
 * @property {string[]} processes all
 * @property {string[]} links between clients and relays, relays and app, relays and broker
 */

/**
 * The faults, each dealt from a deck of all kinds, so that each comes in its turn.
 * @param {{seed: number, form: Form, without: string[], longest: {lock: number, full: number}}} options
 *   `longest`: seconds
 */
export class Schedule {
  #options;
  /** @type {Fault[]} */
  #deck = [];
  #decks = 0;
  #rounds = 0;

  constructor(options) {
    this.#options = options;
  }

  /** The next round's faults, the first one first. @returns {Fault[]} */
  round() {
    const random = stream(this.#options.seed, "round", this.#rounds++);
    const { between, whole } = choices(random);
    const busyUntil = new Map();
    const faults = [];
    for (let count = whole(FAULTS.least, FAULTS.most); count > 0; count--) {
      const fault = { ...this.#deal(), at: between(0, ROUND_SECONDS * 0.8) };
      const free = busyUntil.get(fault.target) ?? 0;
      if (fault.at < free) fault.at = free + between(0, 1);
      if (fault.at > ROUND_SECONDS) continue;
      // A process is given a moment to get up before it is hit again.
      busyUntil.set(fault.target, fault.at + fault.seconds + 0.5);
      faults.push(fault);
    }
    return faults.sort((a, b) => a.at - b.at);
  }

  #deal() {
    if (this.#deck.length === 0) {
      const { seed, form, without, longest } = this.#options;
      const random = stream(seed, "deck", this.#decks++);
      this.#deck = choices(random).shuffled(deck(form, longest, random).filter(({ kind }) => !without.includes(kind)));
      if (this.#deck.length === 0) throw new Error("no kind of fault is left");
    }
    return /** @type {Fault} */ (this.#deck.pop());
  }
}

/** One fault of each kind at least, with what it is for. */
function deck(form, longest, random) {
  const { between, one, whole } = choices(random);
  const others = form.processes.filter((name) => name !== form.app);
  const down = () => between(0.1, 4);
  /** Mostly short, now and then as long as it may be. */
  const lasting = (most) => (random() < 0.3 ? between(most / 2, most) : between(0.1, Math.min(3, most)));
  const clients = (kind, seconds, share) => ({ kind, target: "clients", seconds, share, number: whole(0, 1e9) });
  const faults = MODES.map((mode) => ({ kind: "power-loss", target: form.app, seconds: down(), mode, changes: whole(1, 150) }));
  for (const mode of MODES) {
    const changes = { changes: whole(1, 150), changesAfter: whole(1, 8) };
    faults.push({ kind: "kill-power-loss", target: form.app, seconds: down(), mode, ...changes });
  }
  for (const target of [form.app, ...form.processes]) {
    faults.push({ kind: "kill", target, seconds: down() }, { kind: "pause", target, seconds: lasting(9) });
  }
  for (const target of form.processes) if (random() < 0.5) faults.push({ kind: "stop", target, seconds: down() });
  for (const target of form.links) {
    faults.push({ kind: "cut", target, seconds: one([0, 0, between(0.1, 4)]) });
    faults.push({ kind: "delay", target, seconds: between(2, 8), milliseconds: whole(5, 400) });
    faults.push({ kind: "stall", target, seconds: lasting(9) }, { kind: "half-open", target, seconds: lasting(9), end: one(["near", "far"]) });
  }
  faults.push(clients("drop", 0, between(0.1, 0.6)), clients("drop", 0, 1));
  faults.push(clients("away", between(0.5, 6), between(0.05, 0.3)), clients("replace", 0, between(0.02, 0.1)));
  for (let twice = 0; twice < 2; twice++) {
    faults.push({ kind: "lock", target: "database", seconds: lasting(longest.lock) });
    faults.push({ kind: "disk-full", target: "disk", seconds: lasting(longest.full) });
  }
  // What hits the relays, the broker and the links would hide what hits the app: it gets its share.
  return others.length === 0 ? faults : [...faults, { kind: "kill", target: form.app, seconds: down() }];
}
