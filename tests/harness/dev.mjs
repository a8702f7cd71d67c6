// `parlour dev` in a chat that the tests of one file edit, one after the other.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Process, newStateDir, within } from "./parlour.mjs";
import { BUILD_TIMEOUT, build, newProject } from "./projects.mjs";

export const SLOW = { timeout: 2 * BUILD_TIMEOUT };

/** The project's folder. Each test leaves it such that it builds. */
export let project = "";
const used = [];
before(async () => {
  // Projects of one name would overwrite each other's component, as they share what is built.
  const name = `my-${basename(process.argv[1], ".test.mjs")}`;
  project = await newProject({ after: (done) => used.push(done) }, "chat", name);
  await build(project);
}, SLOW);
after(() => Promise.all(used.map((done) => done())));

/** `parlour dev` in the project, or another folder. */
export async function startDev(t, folder = project) {
  const stateDir = await newStateDir();
  const args = ["dev", "-f", join(folder, "spin.toml"), "--listen", "127.0.0.1:0", "--state-dir", stateDir];
  const dev = new Process(args, stateDir);
  t.after(() => dev.stop());
  return dev;
}

/** Changes a file of the project. */
export async function edit(file, from, to) {
  const text = await readFile(join(project, file), "utf8");
  assert.ok(text.includes(from), `${file} has ${from}`);
  await writeFile(join(project, file), text.replace(from, to));
}

/** Waits until `dev` has said this since `start`, a length of what it had said. */
export async function said(dev, pattern, start = 0) {
  const found = async () => {
    while (!pattern.test(dev.stderr.slice(start))) await sleep(50);
  };
  await within(BUILD_TIMEOUT, found(), () => `parlour dev did not say ${pattern}: ${dev.stderr.slice(start)}`);
}
