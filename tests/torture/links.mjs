// The network between clients, relays, app and broker: TCP proxies that can be cut, held up and slowed down.
// Bytes are never changed or put in another order.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Bytes that wait in one direction of a connection before its sender has to wait. */
const MOST_WAITING = 256 * 1024;

export class Link {
  port = 0;
  /** How late everything arrives, milliseconds. */
  delay = 0;
  #stalled = false;
  /** Whether new connections are taken. */
  #open = true;
  /** @type {Set<Cable>} */
  #cables = new Set();
  #connections = 0;
  #server;
  #targets;

  /** @param {number[]} targets ports that connections go to in turn; if one does not answer, to the next */
  constructor(targets) {
    this.#targets = targets;
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = /** @type {import("node:net").AddressInfo} */ (this.#server.address()).port;
    return this;
  }

  /** Ends every connection at both ends. */
  cut() {
    for (const cable of this.#cables) cable.end(cable.near, cable.far);
  }

  /** New connections are refused from now on, or no longer. */
  refuse(refuses) {
    this.#open = !refuses;
  }

  /** From now on nothing passes, and connections stay; or it goes on, with all that has waited. */
  stall(stalls) {
    this.#stalled = stalls;
    for (const cable of this.#cables) cable.move();
  }

  get stalled() {
    return this.#stalled;
  }

  /** Ends every connection at one end; the other is not told. @param {"near" | "far"} end @returns {() => void} tells it */
  halfOpen(end) {
    const cables = [...this.#cables];
    for (const cable of cables) cable.end(cable[end]);
    return () => cables.forEach((cable) => cable.end(cable.near, cable.far));
  }

  close() {
    this.cut();
    this.#server.close();
  }

  #accept(near) {
    near.on("error", () => {});
    if (!this.#open) return near.destroy();
    this.#plug(near, this.#connections++, this.#targets.length);
  }

  #plug(near, turn, tries) {
    const far = connect({ port: this.#targets[turn % this.#targets.length], host: "127.0.0.1", allowHalfOpen: true });
    const refused = () => (tries > 1 ? this.#plug(near, turn + 1, tries - 1) : near.destroy());
    far.once("error", refused);
    far.once("connect", () => {
      far.off("error", refused).on("error", () => {});
      if (near.destroyed) return far.destroy();
      const cable = new Cable(this, near, far);
      this.#cables.add(cable);
      const gone = () => near.destroyed && far.destroyed && this.#cables.delete(cable);
      near.on("close", gone);
      far.on("close", gone);
    });
  }
}

/** One connection. */
class Cable {
  #pumps;

  constructor(link, near, far) {
    this.near = near;
    this.far = far;
    this.silent = false;
    near.setNoDelay(true);
    far.setNoDelay(true);
    this.#pumps = [new Pump(link, this, near, far), new Pump(link, this, far, near)];
  }

  move() {
    for (const pump of this.#pumps) pump.move();
  }

  /** Ends these ends alone, and what still comes is lost. */
  end(...sockets) {
    this.silent = true;
    for (const socket of sockets) socket.destroy();
    for (const socket of [this.near, this.far]) socket.resume();
  }
}

/** One direction of a connection. */
class Pump {
  /**
   * What waits, and when it may go on: bytes, or the end, with which nothing more comes or the connection is gone.
   * @type {{due: number, what: Buffer | "end" | "gone"}[]}
   */
  #queue = [];
  #bytes = 0;
  #timer;

  constructor(link, cable, from, to) {
    Object.assign(this, { link, cable, from, to });
    from.on("data", (chunk) => this.#take(chunk));
    from.on("end", () => this.#take("end"));
    from.on("close", () => this.#take("gone"));
    to.on("drain", () => this.move());
  }

  #take(what) {
    if (this.cable.silent) return;
    const due = Math.max(this.#queue.at(-1)?.due ?? 0, performance.now() + this.link.delay);
    this.#queue.push({ due, what });
    this.#bytes += what.length;
    if (this.#bytes > MOST_WAITING) this.from.pause();
    this.move();
  }

  move() {
    clearTimeout(this.#timer);
    if (this.cable.silent || this.link.stalled) return;
    while (this.#queue.length > 0 && (!this.to.writableNeedDrain || this.to.destroyed)) {
      const wait = this.#queue[0].due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.move(), wait);
        break;
      }
      const { what } = /** @type {{what: Buffer | "end" | "gone"}} */ (this.#queue.shift());
      if (what === "gone") this.to.destroySoon();
      else if (what === "end") this.to.end();
      else this.to.write(what);
      this.#bytes -= what.length;
    }
    if (this.#bytes <= MOST_WAITING) this.from.resume();
  }
}
