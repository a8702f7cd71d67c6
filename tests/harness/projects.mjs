// Projects of one's own, made by `parlour new` in folders outside of the checkout. They share what cargo builds for
// them, or each would compile the SDK's dependencies.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { BINARY, ROOT, run } from "./parlour.mjs";

/** To compile a project, the first time with the SDK's dependencies, on a busy machine, milliseconds. */
export const BUILD_TIMEOUT = 20 * 60_000;

/**
 * A new project, gone when the test ends.
 * @param {import("node:test").TestContext} t
 * @param {string} template
 */
export async function newProject(t, template, name = "my-chat") {
  const folder = await mkdtemp(join(tmpdir(), "parlour-new-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const project = join(folder, name);
  const { code, stdout, stderr } = await run(["new", project, "--template", template]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /parlour dev/);
  const target = join(ROOT, "target/projects");
  await mkdir(target, { recursive: true });
  await symlink(target, join(project, "target"));
  return project;
}

/** Builds it as its manifest says. */
export async function build(project) {
  await program(project, "cargo", ["build", "--target", "wasm32-wasip2", "--release"]);
}

/**
 * The environment of somebody who has Rust, Node.js and the `parlour` binary, and a home without a past. What the
 * package managers have fetched before stays where it is.
 */
export function freshHome(home) {
  const { PATH, HOME = homedir(), CARGO_HOME, RUSTUP_HOME } = process.env;
  return {
    PATH: [dirname(BINARY), PATH].join(delimiter),
    HOME: home,
    CARGO_HOME: CARGO_HOME ?? join(HOME, ".cargo"),
    RUSTUP_HOME: RUSTUP_HOME ?? join(HOME, ".rustup"),
    npm_config_cache: join(HOME, ".npm"),
    npm_config_prefer_offline: "true",
  };
}

/** Runs a program in a project; fails with what it printed if it does. @returns {Promise<string>} its standard output */
export function program(project, command, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const options = { cwd: project, env, timeout: BUILD_TIMEOUT, maxBuffer: 64 << 20 };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(" ")}: ${error.message}\n${stdout}\n${stderr}`));
      else resolve(stdout);
    });
  });
}
