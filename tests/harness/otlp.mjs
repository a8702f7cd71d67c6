// A real OTLP receiver for the traces of a relay: rotel, an OpenTelemetry collector that is one program. PyPI has it
// in a wheel, which pip fetches once into target/.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ROOT, freePort, within } from "./parlour.mjs";

const VERSION = "0.0.1a15";
const TOOL = join(ROOT, `target/tools/rotel-${VERSION}`);
const PROGRAM = join(TOOL, "rotel/rotel-agent");

/** How long it may take to start, milliseconds. */
const PATIENCE = 15_000;

/** What still runs, so that nothing outlives a test that failed. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A receiver that says what it receives. @param {import("node:test").TestContext} t */
export async function startReceiver(t) {
  const program = await fetched();
  const address = `127.0.0.1:${await freePort()}`;
  const endpoints = ["--otlp-http-endpoint", address, "--otlp-grpc-endpoint", `127.0.0.1:${await freePort()}`];
  const args = ["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed", ...endpoints];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  const ended = once(child, "exit").then(() => running.delete(child));
  t.after(async () => (child.kill("SIGKILL"), await ended));
  const receiver = { url: `http://${address}`, log: "" };
  const ready = new Promise((resolve, reject) => {
    for (const output of [child.stdout, child.stderr]) {
      output.setEncoding("utf8").on("data", (text) => {
        receiver.log += text;
        if (receiver.log.includes("Starting Rotel")) resolve(undefined);
      });
    }
    child.on("exit", () => reject(new Error(`rotel ended:\n${receiver.log}`)));
  });
  await within(PATIENCE, ready, () => `rotel is not ready:\n${receiver.log}`);
  return receiver;
}

/** The program, which is fetched if need be. */
async function fetched() {
  if (process.env.ROTEL) return process.env.ROTEL;
  if (existsSync(PROGRAM)) return PROGRAM;
  const run = promisify(execFile);
  await mkdir(dirname(TOOL), { recursive: true });
  const folder = await mkdtemp(`${TOOL}-`);
  try {
    // The program in the wheel is the same for every Python.
    const wheel = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"];
    await run("python3", ["-m", "pip", "download", "--quiet", ...wheel, "--dest", folder, `rotel==${VERSION}`]);
    await run("sh", ["-c", 'python3 -m zipfile --extract "$0"/*.whl "$0"', folder]);
    await chmod(join(folder, "rotel/rotel-agent"), 0o755);
    await rename(folder, TOOL);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw new Error(
      `There is no OTLP receiver, and traces must be tested with one. pip could not fetch rotel ${VERSION} ` +
        `(Debian: \`apt-get install python3-pip\`); a rotel-agent that is elsewhere can be named in ROTEL.\n${error}`,
    );
  }
  return PROGRAM;
}
