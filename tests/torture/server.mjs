// A whole server in one of its forms: its processes, which can be killed, paused and restarted, and the links between
// them. It does what it is told; when, is the schedule's business.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT, freePort, secrets, within } from "../harness/parlour.mjs";
import { Link } from "./links.mjs";
import { environment } from "./powerloss.mjs";

const PARLOUR = process.env.PARLOUR_BIN ?? join(ROOT, "target/release/parlour");
const NATS = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];

/** How long a start or a stop may take, milliseconds: the first start of all compiles the components. */
const PATIENCE = 100_000;

/** How long a process that ended by itself is left alone before it is started again, as a service manager would. */
const RESTART_AFTER = 500;

/** The limits of a client's silence are short, so that a round need not wait for them. */
const ENGINE = ["--ping-interval", "3000", "--ping-timeout", "4000"];

/** What a server can be made of. @type {Record<string, import("./schedule.mjs").Form & {relays: number}>} */
export const FORMS = {
  up: { app: "up", processes: ["up"], links: ["clients-1"], relays: 1 },
  pair: { app: "app", processes: ["app", "relay-1"], links: ["clients-1", "app-1"], relays: 1 },
  split: {
    app: "app",
    processes: ["app", "relay-1", "relay-2", "broker"],
    links: ["clients-1", "clients-2", "clients-any", "app-1", "app-2", "broker-1", "broker-2"],
    relays: 2,
  },
};

/** A process that is started again and again under one name. */
export class Supervised {
  /** How often it was started. */
  lives = 0;
  /** When it ended although nobody had ended it: how. @type {string[]} */
  deaths = [];
  /** It is going to end by itself, as it was told to. */
  doomed = false;
  #child;
  #wanted = false;

  constructor(name, program, args, env, port, logs) {
    Object.assign(this, { name, program, args, env, port });
    this.log = join(logs, `${name}.log`);
    process.on("exit", () => this.#child?.kill("SIGKILL"));
  }

  /** Starts it and waits until it listens. */
  async start() {
    if (this.#wanted) return;
    this.#wanted = true;
    await this.#spawn();
  }

  async #spawn() {
    this.lives += 1;
    const log = createWriteStream(this.log, { flags: "a" });
    log.write(`\n--- ${new Date().toISOString()} life ${this.lives}: ${this.program} ${this.args.join(" ")}\n`);
    const child = spawn(this.program, this.args, { cwd: ROOT, env: this.env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false });
    const ended = once(child, "exit");
    void ended.then(([code, signal]) => this.#ended(child, code ?? signal));
    const listens = async () => {
      while (child.exitCode === null && child.signalCode === null && !(await answers(this.port))) await sleep(30);
    };
    await within(PATIENCE, listens(), () => `${this.name} does not listen; see ${this.log}`);
  }

  async #ended(child, how) {
    if (this.#child !== child || !this.#wanted || this.doomed) return;
    this.deaths.push(`${this.name} ended by itself (${how}) in its life ${this.lives}`);
    await sleep(RESTART_AFTER);
    if (this.#wanted && this.#child === child) await this.#spawn();
  }

  /** Ends it, with SIGKILL or SIGTERM, and waits until it has ended. */
  async end(signal) {
    this.#wanted = false;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await within(PATIENCE, ended, () => `${this.name} does not end at ${signal}; see ${this.log}`);
  }

  /** Waits until it has ended by itself, as it was told to; after that time it is killed. */
  async endsWithin(milliseconds) {
    this.doomed = true;
    const ended = once(this.#child, "exit");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await Promise.race([ended, sleep(milliseconds)]);
    await this.end("SIGKILL");
    this.doomed = false;
  }

  pause() {
    this.#child?.kill("SIGSTOP");
  }

  resume() {
    this.#child?.kill("SIGCONT");
  }

  /** Bytes of memory in use. */
  get memory() {
    const status = existsSync(`/proc/${this.#child?.pid}/status`) ? readFileSync(`/proc/${this.#child?.pid}/status`, "utf8") : "";
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  }
}

export class Server {
  /** @type {Map<string, Supervised>} */
  processes = new Map();
  /** @type {Map<string, Link>} */
  links = new Map();
  secrets = secrets();

  /**
   * @param {string} form one of FORMS
   * @param {{disk: import("./disk.mjs").Disk, library: string, logs: string, syncMicros: number}} place
   */
  static async start(form, place) {
    mkdirSync(place.logs, { recursive: true });
    const server = new Server();
    server.form = FORMS[form];
    server.journal = join(place.disk.base, "journal");
    const powerloss = environment({ ...place, folder: place.disk.folder, journal: server.journal });
    await (form === "up" ? server.#up(place, powerloss) : server.#split(place, powerloss));
    for (const one of server.processes.values()) await one.start();
    return server;
  }

  async #up({ disk, logs }, powerloss) {
    const port = await freePort();
    const args = ["up", "--listen", `127.0.0.1:${port}`, "--state-dir", disk.folder, "--relay-id", "relay-1", ...ENGINE];
    this.#add("up", PARLOUR, args, { ...this.secrets, ...powerloss }, port, logs);
    await this.#link("clients-1", port);
  }

  async #split({ disk, logs }, powerloss) {
    const app = await freePort();
    this.#add("app", PARLOUR, ["app", "--listen", `127.0.0.1:${app}`, "--state-dir", disk.folder], { ...this.secrets, ...powerloss }, app, logs);
    const bus = this.form.relays > 1 ? await this.#broker(disk, logs) : undefined;
    const relays = [];
    for (let number = 1; number <= this.form.relays; number++) {
      const [port, control] = [await freePort(), await freePort()];
      const origin = await this.#link(`app-${number}`, app);
      const args = ["relay", "--origin", `http://127.0.0.1:${origin}`, "--listen", `127.0.0.1:${port}`, "--control", `127.0.0.1:${control}`];
      args.push("--relay-id", `relay-${number}`, ...ENGINE);
      if (bus) args.push("--bus", `nats://127.0.0.1:${await this.#link(`broker-${number}`, bus)}`);
      this.#add(`relay-${number}`, PARLOUR, args, this.secrets, port, logs);
      relays.push(await this.#link(`clients-${number}`, port));
    }
    if (relays.length > 1) await this.#link("clients-any", ...relays);
  }

  async #broker(disk, logs) {
    const program = [process.env.NATS_SERVER, ...NATS].find((path) => path && existsSync(path));
    if (!program) throw new Error("there is no nats-server: install it (Debian: apt-get install nats-server), or name it in NATS_SERVER");
    const port = await freePort();
    const file = join(disk.base, "nats.conf");
    writeFileSync(file, `listen: "127.0.0.1:${port}"\nmax_payload: 4MB\n`);
    this.#add("broker", program, ["-c", file], {}, port, logs);
    return port;
  }

  #add(name, program, args, env, port, logs) {
    const inherited = Object.entries(process.env).filter(([key]) => !/^(SPIN_|PARLOUR_|RUST_LOG)/.test(key));
    const whole = { ...Object.fromEntries(inherited), NO_COLOR: "1", ...env };
    this.processes.set(name, new Supervised(name, program, args, whole, port, logs));
  }

  async #link(name, ...targets) {
    const link = await new Link(targets).listen();
    this.links.set(name, link);
    return link.port;
  }

  async stop() {
    for (const link of this.links.values()) link.close();
    for (const one of this.processes.values()) one.resume();
    await Promise.all([...this.processes.values()].map((one) => one.end("SIGKILL")));
  }
}

/** Whether somebody listens there. @param {number} port */
async function answers(port) {
  const socket = connect(port, "127.0.0.1");
  const answer = await new Promise((resolve) => socket.once("connect", () => resolve(true)).once("error", () => resolve(false)));
  socket.destroy();
  return answer;
}
