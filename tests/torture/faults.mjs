// Carries out what the schedule says: one function for each kind of fault, which is over when its promise is.

import { setTimeout as sleep } from "node:timers/promises";
import { killAfter, lose } from "./powerloss.mjs";
import { stream } from "./schedule.mjs";

/** @typedef {import("./schedule.mjs").Fault} Fault */

/** How long a loss of power waits for the change in whose middle it is to be, milliseconds. */
const WITHIN = 3_000;

const wait = ({ seconds }) => sleep(seconds * 1000);

export class Faults {
  /** How often each kind came. @type {Map<string, number>} */
  counts = new Map();
  /** Of losses of power: changes that were not durable, and changes of which something was lost. */
  losses = { changes: 0, lost: 0 };
  #full = false;
  #powerLosses = 0;

  /**
   * @param {object} world
   * @param {number} world.seed
   * @param {import("./server.mjs").Server} world.server
   * @param {import("./disk.mjs").Disk} world.disk
   * @param {import("./crowd.mjs").Crowd} world.crowd
   * @param {(what: string) => void} world.log
   */
  constructor(world) {
    Object.assign(this, world);
  }

  /** @param {Fault[]} faults of a round; over when all of them are */
  async run(faults) {
    const began = performance.now();
    /** On a busy machine a fault lasts longer than it should: the next one of its target waits. */
    const before = new Map();
    const inTurn = (fault, act) => {
      const turn = (before.get(fault.target) ?? Promise.resolve()).then(act);
      before.set(fault.target, turn);
      return turn;
    };
    await Promise.all(
      faults.map((fault) => inTurn(fault, async () => {
        await sleep(Math.max(0, fault.at * 1000 - (performance.now() - began)));
        this.log(`begins: ${describe(fault)}`);
        await this[fault.kind](fault);
        this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1);
        this.log(`is over: ${fault.kind} ${fault.target}`);
      })),
    );
  }

  #process({ target }) {
    return /** @type {import("./server.mjs").Supervised} */ (this.server.processes.get(target));
  }

  #link({ target }) {
    return /** @type {import("./links.mjs").Link} */ (this.server.links.get(target));
  }

  async kill(fault) {
    await this.#process(fault).end("SIGKILL");
    await wait(fault);
    await this.#process(fault).start();
  }

  async stop(fault) {
    await this.#process(fault).end("SIGTERM");
    await wait(fault);
    await this.#process(fault).start();
  }

  async pause(fault) {
    this.#process(fault).pause();
    await wait(fault);
    this.#process(fault).resume();
  }

  async "power-loss"(fault) {
    await this.#killAmidChanges(fault, fault.changes);
    await this.#losePower(fault);
  }

  /**
   * The process is killed, but keeps what it had not synced; it starts again, goes on from there, and then power is
   * lost: what the second life took over from the first and told others must be durable all the same.
   */
  async "kill-power-loss"(fault) {
    await this.#killAmidChanges(fault, fault.changes);
    killAfter(this.server.journal, fault.changesAfter);
    this.#process(fault).doomed = true;
    await this.#process(fault).start();
    await this.#process(fault).endsWithin(WITHIN);
    await this.#losePower(fault);
  }

  async #killAmidChanges(fault, changes) {
    killAfter(this.server.journal, changes);
    await this.#process(fault).endsWithin(WITHIN);
  }

  async #losePower(fault) {
    killAfter(this.server.journal, 0);
    await this.disk.unlock();
    if (this.#full) this.disk.free();
    const random = stream(this.seed, "power loss", this.#powerLosses++);
    const loss = lose({ folder: this.disk.folder, journal: this.server.journal, mode: fault.mode, random });
    this.log(`power loss: of ${loss.changes} changes that were not durable, ${loss.lost} are lost`);
    this.losses.changes += loss.changes;
    this.losses.lost += loss.lost;
    if (this.#full) this.disk.fill();
    await wait(fault);
    await this.#process(fault).start();
  }

  async cut(fault) {
    const link = this.#link(fault);
    link.refuse(fault.seconds > 0);
    link.cut();
    await wait(fault);
    link.refuse(false);
  }

  async stall(fault) {
    this.#link(fault).stall(true);
    await wait(fault);
    this.#link(fault).stall(false);
  }

  async delay(fault) {
    this.#link(fault).delay = fault.milliseconds;
    await wait(fault);
    this.#link(fault).delay = 0;
  }

  async "half-open"(fault) {
    const tell = this.#link(fault).halfOpen(fault.end);
    await wait(fault);
    tell();
  }

  async drop(fault) {
    this.crowd.drop(fault);
  }

  async away(fault) {
    await this.crowd.away(fault);
  }

  async replace(fault) {
    this.crowd.replace(fault);
  }

  async lock(fault) {
    if (!(await this.disk.lock())) return this.log("the lock could not be had");
    await wait(fault);
    await this.disk.unlock();
  }

  async "disk-full"(fault) {
    this.#full = this.disk.fill();
    await wait(fault);
    this.disk.free();
    this.#full = false;
  }
}

/** A fault in one line. @param {Fault} fault */
export function describe({ kind, target, seconds, milliseconds, mode, changes, changesAfter, share, at, end }) {
  const number = (value) => Number(value.toFixed(1));
  const details = [`for ${number(seconds)} s`];
  if (milliseconds !== undefined) details.push(`${milliseconds} ms`);
  if (share !== undefined) details.push(`${Math.round(share * 100)} % of them`);
  if (mode !== undefined) details.push(`after ${[changes, changesAfter].filter(Boolean).join(" and ")} changes, losing ${mode}`);
  if (end !== undefined) details.push(`the ${end} end`);
  return `${number(at)} s: ${kind} ${target} ${details.join(", ")}`;
}
