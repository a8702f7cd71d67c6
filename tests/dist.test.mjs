// `cargo xtask dist`: what one would download. Here it packs the binary that the other tests use, which is not the small
// one: for that Wasmtime would be compiled once more.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { BINARY, ROOT, filesBelow, newStateDir, run } from "./harness/parlour.mjs";

const program = promisify(execFile);

let dist;
before(async () => {
  dist = join(await newStateDir(), "dist");
  await program(join(ROOT, "target/release/xtask"), ["dist", "--binary", BINARY, "--to", dist]);
});

const read = (name) => readFile(join(dist, name), "utf8");

test("it has the binary, completions, manual pages, a container file and the licence", async () => {
  const files = (await filesBelow(dist)).map((file) => relative(dist, file));
  for (const name of ["parlour", "Containerfile", "LICENSE", "completions/parlour.bash", "completions/_parlour", "completions/parlour.fish"]) {
    assert.ok(files.includes(name), `${name} of ${files}`);
  }
  const commands = ["new", "dev", "components", "up", "app", "relay", "backup", "restore", "token"];
  for (const page of ["parlour", ...commands.map((command) => `parlour-${command}`)]) {
    assert.match(await read(`man/${page}.1`), new RegExp(`\\.TH ${page}\\b`, "i"));
  }
  assert.ok((await stat(join(dist, "parlour"))).mode & 0o111, "it can be executed");
});

test("the checksums are those of all files", async () => {
  const lines = (await read("SHA256SUMS")).trimEnd().split("\n");
  const sums = new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
  for (const file of await filesBelow(dist)) {
    const name = relative(dist, file);
    if (name === "SHA256SUMS") continue;
    assert.equal(sums.get(name), createHash("sha256").update(await readFile(file)).digest("hex"), name);
    sums.delete(name);
  }
  assert.deepEqual([...sums.keys()], []);
});

test("bash completes commands, flags and templates", async () => {
  const complete = async (...words) => {
    const script = `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _parlour parlour "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"; echo "\${COMPREPLY[@]}"`;
    const { stdout } = await program("bash", ["-c", script, join(dist, "completions/parlour.bash"), ...words]);
    return stdout.trim().split(/\s+/);
  };
  assert.deepEqual(await complete("parlour", "de"), ["dev"]);
  assert.deepEqual(await complete("parlour", "up", "--bui"), ["--build"]);
  assert.deepEqual((await complete("parlour", "new", "--template", "")).sort(), ["chat", "empty", "members"]);
});

test("the container's user is nobody, its state a volume, and what it copies is there", async () => {
  const text = await read("Containerfile");
  const copied = [...text.matchAll(/^COPY (?:--\S+ )*(\S+) /gm)].map(([, name]) => name);
  assert.ok(copied.includes("parlour"));
  for (const name of copied) await stat(join(dist, name));
  const [, user] = /^USER (\d+):\d+$/m.exec(text) ?? [];
  assert.ok(Number(user) > 0, "not root");
  const [, volume] = /^VOLUME (\S+)$/m.exec(text) ?? [];
  const [, command] = /^CMD (\[.*\])$/m.exec(text) ?? [];
  const words = JSON.parse(command);
  assert.ok(words[words.indexOf("--state-dir") + 1].startsWith(`${volume}/`));
  // The words are such as this binary takes.
  const { code, stderr } = await run([...words.slice(0, -2), "-f", "/no/such/spin.toml", "--state-dir", await newStateDir()]);
  assert.notEqual(code, 0);
  assert.match(stderr, /cannot read the manifest \/no\/such\/spin\.toml/);
});

test("the version names Wasmtime's and the protocols'", async () => {
  const { stdout } = await run(["--version"]);
  const lock = await readFile(join(ROOT, "Cargo.lock"), "utf8");
  const [, wasmtime] = /name = "wasmtime"\nversion = "([^"]+)"/.exec(lock) ?? [];
  const protocol = await readFile(join(ROOT, "crates/protocol/src/relay.rs"), "utf8");
  const [, relay] = /pub const VERSION: &str = "(\d+)"/.exec(protocol) ?? [];
  assert.equal(
    stdout,
    `parlour 0.1.0 (Wasmtime ${wasmtime}; Socket.IO protocol 5, Engine.IO protocol 4, relay protocol ${relay})\n`,
  );
});
