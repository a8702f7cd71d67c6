// Starts and stops the real `parlour` binary, as one process (`up`) or as two (`app` and `relay`).
// It owns the processes and their state directories; it never speaks Socket.IO.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout: what the manifest's paths are relative to. */
export const ROOT = resolve(fileURLToPath(import.meta.url), "../../..");
export const ARTIFACTS = join(ROOT, "tests/artifacts");
export const BINARY = process.env.PARLOUR_BIN ?? join(ROOT, "target/release/parlour");

/** The first start of all compiles the components to machine code, milliseconds. */
const START_TIMEOUT = 100_000;
/** From SIGTERM to the end of the process, milliseconds. */
const STOP_TIMEOUT = 15_000;

/** Everything that still runs, so that nothing outlives a test that failed. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(1));

/**
 * @typedef {object} Options
 * @property {string[]} [args] more options for the command
 * @property {string} [stateDir] where secrets and the database are; a new temporary one by default
 * @property {string} [manifest] the spin.toml
 * @property {string} [listen] address and port; a free port of 127.0.0.1 by default
 * @property {Record<string, string>} [env]
 * @property {number | string} [openFiles] how many file descriptors it may have, as `ulimit -n` takes it
 */

/** One running `parlour`. */
export class Process {
  /** @type {string} the address it said it listens on */
  url = "";
  stdout = "";
  stderr = "";

  /**
   * @param {string[]} args
   * @param {string} stateDir
   * @param {Record<string, string>} env
   * @param {{stderr?: "pipe" | number, openFiles?: number | string}} options where its logs go, if not to the test; its file descriptors
   */
  constructor(args, stateDir, env = {}, { stderr = "pipe", openFiles } = {}) {
    if (!existsSync(BINARY)) {
      throw new Error(`${BINARY} is missing: build it with \`cargo xtask build\``);
    }
    this.args = args;
    this.stateDir = stateDir;
    const limited = ["sh", "-c", `ulimit -n ${openFiles}; exec "$0" "$@"`];
    const [program, ...words] = [...(openFiles ? limited : []), BINARY, ...args];
    this.child = spawn(program, words, { cwd: ROOT, env: environment(env), stdio: ["ignore", "pipe", stderr] });
    running.add(this.child);
    this.child.stdout.setEncoding("utf8").on("data", (text) => (this.stdout += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text) => (this.stderr += text));
    /** @type {Promise<{code: number | null, signal: string | null}>} */
    this.exited = once(this.child, "close").then(([code, signal]) => {
      running.delete(this.child);
      return { code, signal };
    });
  }

  /** Everything it has printed. */
  get logs() {
    return this.stdout + this.stderr;
  }

  /** Waits for the line that says where it listens. @param {number} timeout milliseconds */
  async listening(timeout = START_TIMEOUT) {
    const said = new Promise((found) => {
      this.child.stdout.on("data", () => {
        const line = /^Listening on (https?:\/\/\S+)$/m.exec(this.stdout);
        if (line) found(line[1]);
      });
    });
    const died = this.exited.then(({ code, signal }) => {
      throw new Error(`parlour ${this.args.join(" ")} ended (${code ?? signal}) before it listened:\n${this.logs}`);
    });
    this.url = await within(timeout, Promise.race([said, died]), () =>
      `parlour ${this.args.join(" ")} did not say "Listening on":\n${this.logs}`);
    return this;
  }

  /** Ends it as Ctrl-C or a service manager would, and waits until it has ended. */
  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    const end = await within(STOP_TIMEOUT, this.exited, () => `parlour did not end at ${signal}:\n${tail(this.logs)}`);
    await this.#keepLogs();
    return end;
  }

  /** Ends it without warning. */
  async kill9() {
    this.child.kill("SIGKILL");
    await this.exited;
    await this.#keepLogs();
  }

  async #keepLogs() {
    const folder = join(ARTIFACTS, "logs");
    const name = `${basename(process.argv[1] ?? "run", ".test.mjs")}-${this.args[0]}-${this.child.pid}.log`;
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), `parlour ${this.args.join(" ")}\n${this.logs}`);
  }
}

/** A whole server, whatever processes it is made of: what a client needs to know of it. */
export class Server {
  /**
   * @param {string} url what clients connect to
   * @param {string} stateDir
   * @param {Process[]} processes the one that clients see first
   */
  constructor(url, stateDir, ...processes) {
    this.url = url;
    this.stateDir = stateDir;
    this.processes = processes;
    [this.front] = processes;
  }

  get logs() {
    return this.processes.map((process) => process.logs).join("\n");
  }

  /** @param {Parameters<typeof token>[1]} claims */
  token(claims) {
    return token(this.stateDir, claims);
  }

  /** Stops every process in order; the result is how the first ended. */
  async stop() {
    const ends = [];
    for (const process of this.processes) ends.push(await process.stop());
    return ends[0];
  }

  async kill9() {
    await Promise.all(this.processes.map((process) => process.kill9()));
  }
}

/** The relay and the app in one process: `parlour up`. @param {Options} options */
export async function startUp(options = {}) {
  const stateDir = options.stateDir ?? (await newStateDir());
  const args = ["up", ...appArgs(options, stateDir), ...(options.args ?? [])];
  const up = await new Process(args, stateDir, options.env, options).listening();
  return new Server(up.url, stateDir, up);
}

/** The app alone, on an HTTP port, as `spin up` would run it: `parlour app`. @param {Options} options */
export async function startApp(options = {}) {
  const stateDir = options.stateDir ?? (await newStateDir());
  const args = ["app", ...appArgs(options, stateDir), ...(options.args ?? [])];
  return new Process(args, stateDir, options.env, options).listening();
}

/** The relay alone: `parlour relay`. @param {Options & {origin: string, control?: string}} options */
export async function startRelay(options) {
  const stateDir = options.stateDir ?? (await newStateDir());
  const listen = ["--listen", options.listen ?? "127.0.0.1:0", "--control", options.control ?? "127.0.0.1:0"];
  const args = ["relay", "--origin", options.origin, ...listen, "--state-dir", stateDir, ...(options.args ?? [])];
  return new Process(args, stateDir, options.env, options).listening();
}

/** `parlour app` with `parlour relay` in front of it; `args` are the relay's. @param {Options} options */
export async function startPair({ args, ...options } = {}) {
  // The app makes no secrets of its own: it is given the same ones as the relay, as a deployment would.
  const env = { ...secrets(), ...options.env };
  const app = await startApp({ ...options, env });
  const relay = await startRelay({ origin: app.url, args, env, stateDir: app.stateDir });
  const pair = new Server(relay.url, app.stateDir, relay, app);
  pair.token = (claims) => token(app.stateDir, { ...claims, env });
  return pair;
}

/** A pair of secrets as Spin takes variables from its environment. */
export function secrets() {
  const random = () => Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url");
  return { SPIN_VARIABLE_RELAY_SECRET: random(), SPIN_VARIABLE_AUTH_SECRET: random() };
}

/**
 * A token for /members, from `parlour token`.
 * @param {string} stateDir
 * @param {{sub?: string, name?: string, ttl?: number, env?: Record<string, string>}} claims
 */
export async function token(stateDir, { sub = "ada", name = "Ada", ttl, env } = {}) {
  const lifetime = ttl === undefined ? [] : ["--ttl", String(ttl)];
  const { code, stdout, stderr } = await run(
    ["token", "--sub", sub, "--name", name, ...lifetime, "--state-dir", stateDir],
    stateDir,
    env,
  );
  if (code !== 0) throw new Error(`parlour token ended with ${code}: ${stderr}`);
  return stdout.trim();
}

/** Runs a command of `parlour` to its end. @param {string[]} args */
export async function run(args, stateDir = tmpdir(), env = {}) {
  const process = new Process(args, stateDir, env);
  const { code } = await within(START_TIMEOUT, process.exited, () => `parlour ${args.join(" ")} does not end`);
  return { code, stdout: process.stdout, stderr: process.stderr };
}

const stateDirs = [];
process.on("exit", () => stateDirs.forEach((dir) => rmSync(dir, { recursive: true, force: true })));

/** An empty folder that is gone when the test's process ends. */
export async function newStateDir() {
  const dir = await mkdtemp(join(tmpdir(), "parlour-test-"));
  stateDirs.push(dir);
  return dir;
}

/** A port that was free a moment ago, for what must come back at the same address. */
export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, "close");
  return port;
}

/** All files below a folder. @param {string} dir @returns {Promise<string[]>} */
export async function filesBelow(dir) {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.path, entry.name));
}

/**
 * The promise's result, or an error once `ms` milliseconds have passed.
 * @template T
 * @param {number} ms @param {Promise<T>} promise @param {() => string} complaint
 * @returns {Promise<T>}
 */
export async function within(ms, promise, complaint) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${ms} ms: ${complaint()}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Options} options @param {string} stateDir */
function appArgs({ manifest = join(ROOT, "spin.toml"), listen = "127.0.0.1:0" }, stateDir) {
  return ["-f", manifest, "--listen", listen, "--state-dir", stateDir];
}

/** Ours without what would configure Parlour, and with the test's. */
function environment(env) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(SPIN_|PARLOUR_(?!BIN)|RUST_LOG|OTEL_)/.test(name));
  return { ...Object.fromEntries(inherited), ...env };
}

function tail(text) {
  return text.slice(-4000);
}
