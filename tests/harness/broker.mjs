// Starts and stops a real NATS server, Debian's, for relays to tell each other.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, newStateDir, within } from "./parlour.mjs";

const PLACES = [process.env.NATS_SERVER, "/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];

/** How long it may take to start or to stop, milliseconds. */
const PATIENCE = 15_000;

/** What still runs, so that nothing outlives a test that failed. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/**
 * A broker that is not running yet, but has its address.
 * @param {import("node:test").TestContext} t
 * @param {string} config more lines of its configuration
 */
export async function newBroker(t, config = "max_payload: 4MB") {
  const program = PLACES.find((path) => path && existsSync(path));
  if (!program) {
    throw new Error(
      "There is no NATS server, and relays must be tested with one: install it (Debian: `apt-get install nats-server`), or name it in NATS_SERVER",
    );
  }
  const folder = await newStateDir();
  const address = `127.0.0.1:${await freePort()}`;
  const file = join(folder, "nats.conf");
  await writeFile(file, `listen: "${address}"\n${config}\n`);
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let child;
  const broker = {
    url: `nats://${address}`,
    address,
    /** Starts it, at the same address every time. */
    async start() {
      let log = "";
      const started = spawn(program, ["-c", file], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
      child = started;
      running.add(child);
      child.on("exit", () => running.delete(started));
      const ready = new Promise((resolve, reject) => {
        started.stderr?.setEncoding("utf8").on("data", (text) => {
          log += text;
          if (log.includes("Server is ready")) resolve(undefined);
        });
        started.on("exit", () => reject(new Error(`nats-server ended:\n${log}`)));
      });
      await within(PATIENCE, ready, () => `nats-server is not ready:\n${log}`);
    },
    /** From now on it neither hears nor answers, until it is thawed. Its connections stay. */
    freeze: () => child?.kill("SIGSTOP"),
    thaw: () => child?.kill("SIGCONT"),
    /** Ends it without warning. */
    async kill9() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
  t.after(() => broker.kill9());
  return broker;
}

export async function startBroker(t, config) {
  const broker = await newBroker(t, config);
  await broker.start();
  return broker;
}
