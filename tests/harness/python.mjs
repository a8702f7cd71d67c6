// python-socketio, the client of those who write Python. PyPI has it; pip fetches it once into target/.

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { PATIENCE } from "./clients.mjs";
import { ROOT, within } from "./parlour.mjs";

const VERSION = "5.14.3";
const PACKAGES = [`python-socketio==${VERSION}`, "python-engineio==4.12.3", "websocket-client==1.9.0", "requests==2.32.5"];
const LIBRARY = join(ROOT, `target/tools/python-socketio-${VERSION}`);

/**
 * Runs a program that prints lines of JSON. @param {import("node:test").TestContext} t
 * @param {string} program @param {string[]} args
 */
export async function startPython(t, program, ...args) {
  const env = { ...process.env, PYTHONPATH: await fetched(), PYTHONUNBUFFERED: "1" };
  const child = spawn("python3", ["-c", program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /** The next line that it prints. */
    next: async () => {
      const { value, done } = await within(PATIENCE, lines.next(), () => `python prints nothing:\n${stderr}`);
      if (done) throw new Error(`python has ended:\n${stderr}`);
      return JSON.parse(value);
    },
    /** What it has complained about. */
    complaints: () => stderr,
  };
}

/** The folder of the library, which is fetched if need be. */
async function fetched() {
  if (existsSync(LIBRARY)) return LIBRARY;
  await mkdir(dirname(LIBRARY), { recursive: true });
  const folder = await mkdtemp(`${LIBRARY}-`);
  try {
    await promisify(execFile)("python3", ["-m", "pip", "install", "--quiet", "--target", folder, ...PACKAGES]);
    await rename(folder, LIBRARY);
  } catch (error) {
    // Another test may have been faster.
    await rm(folder, { recursive: true, force: true });
    if (existsSync(LIBRARY)) return LIBRARY;
    throw new Error(
      `There is no python-socketio ${VERSION}, and clients in Python must be tested with it. pip could not fetch it ` +
        `(Debian: \`apt-get install python3-pip\`).\n${error}`,
    );
  }
  return LIBRARY;
}
