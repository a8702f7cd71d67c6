// Starts the project for a test: built, on a free port, with a database of its own.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const PARLOUR = process.env.PARLOUR ?? "parlour";

/** The running project: where it is, how to get a token for it, how to stop it. */
export async function start() {
  const state = await mkdtemp(join(tmpdir(), "parlour-project-"));
  const args = ["up", "--build", "--listen", "127.0.0.1:0", "--state-dir", state];
  const server = spawn(PARLOUR, args, { cwd: PROJECT, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(server, "exit");
  server.stdout.setEncoding("utf8");
  let said = "";
  const listening = (async () => {
    for await (const text of server.stdout) {
      said += text;
      const line = /^Listening on (\S+)$/m.exec(said);
      if (line) return line[1];
    }
    throw new Error("parlour ended before it listened; what is wrong is said above");
  })();
  return {
    url: await listening,
    token: (sub) => execFileSync(PARLOUR, ["token", "--sub", sub, "--state-dir", state], { encoding: "utf8" }).trim(),
    async stop() {
      server.kill();
      await ended;
      await rm(state, { recursive: true, force: true });
    },
  };
}
