// `parlour new` and `parlour components`: a project of one's own, which needs nothing of this checkout.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connected, next } from "./harness/clients.mjs";
import { ROOT, filesBelow, newStateDir, run, startPair } from "./harness/parlour.mjs";
import { BUILD_TIMEOUT, freshHome, newProject, program } from "./harness/projects.mjs";

const SLOW = { timeout: 2 * BUILD_TIMEOUT };

/** A folder that is empty and goes with the test. */
async function emptyFolder(t) {
  const folder = await mkdtemp(join(tmpdir(), "parlour-new-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe("a new project's own test passes, with nothing but the binary, Rust, Node.js and a home without a past", () => {
  for (const template of ["chat", "empty", "members"]) {
    test(template, SLOW, async (t) => {
      const project = await newProject(t, template, `my-${template}`);
      const printed = await program(project, "npm", ["test"], freshHome(await emptyFolder(t)));
      assert.match(printed, /pass [1-9]/);
      assert.match(printed, /fail 0/);
      if (template === "chat") await runsInTwoProcesses(t, project);
    });
  }
});

/** The same folder as an app alone with a relay before it, as on Spin. */
async function runsInTwoProcesses(t, project) {
  const pair = await startPair({ manifest: join(project, "spin.toml") });
  t.after(() => pair.stop());
  const [ann, bob] = [await connected(t, pair.url), await connected(t, pair.url)];
  for (const socket of [ann, bob]) await socket.emitWithAck("join", "general");
  ann.emit("chat message", "general", "Hello");
  assert.deepEqual(await next(bob, "chat message"), { room: "general", from: ann.id, text: "Hello" });
}

test("a project names nothing outside of its folder, and no other project", SLOW, async (t) => {
  const project = await newProject(t, "members", "of-my-own");
  for (const file of await filesBelow(project)) {
    if (file.startsWith(join(project, "target"))) continue;
    const text = await readFile(file, "latin1");
    assert.ok(!file.endsWith(".toml") || !text.includes('"../../'), `${file} leaves the project`);
    assert.doesNotMatch(text, /parlour[-_]project/, file);
    if (!file.startsWith(join(project, "parlour"))) assert.ok(!text.includes(ROOT), file);
  }
});

describe("parlour new says what is wrong, and what to do", () => {
  test("a folder that is not empty stays as it is", async (t) => {
    const folder = await emptyFolder(t);
    await writeFile(join(folder, "mine"), "");
    await mkdir(join(folder, "my-chat"));
    await writeFile(join(folder, "my-chat", "mine"), "");
    const { code, stderr } = await run(["new", join(folder, "my-chat")]);
    assert.notEqual(code, 0);
    assert.match(stderr, /my-chat is there already and is not empty: take another name/);
    assert.deepEqual((await filesBelow(join(folder, "my-chat"))).length, 1);
  });

  test("names that Rust, Spin or npm would not take", async (t) => {
    const folder = await emptyFolder(t);
    for (const name of ["My-Chat", "2chat", "my_chat", "match", "serde"]) {
      const { code, stderr } = await run(["new", join(folder, name)]);
      assert.notEqual(code, 0, name);
      assert.match(stderr, /no name for a project.*such as my-/, name);
    }
    assert.deepEqual(await filesBelow(folder), []);
  });

  test("an unknown template, with those that there are", async () => {
    const { code, stderr } = await run(["new", "x", "--template", "game"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /chat, empty, members/);
  });
});

describe("parlour components", () => {
  const record = (project) => join(project, "parlour/VERSION");
  const sha256 = (contents) => createHash("sha256").update(contents).digest("hex");

  /** Makes the project one whose kit is older: another version, one file that was different, one that is no more. */
  async function outdate(project) {
    const [first, ...lines] = (await readFile(record(project), "utf8")).trimEnd().split("\n");
    assert.match(first, /^parlour \d+\.\d+\.\d+$/);
    const older = { "components/rooms.wasm": "an older one", "components/door.wasm": "one that is no more" };
    for (const [name, contents] of Object.entries(older)) await writeFile(join(project, "parlour", name), contents);
    const kept = lines.filter((line) => !line.endsWith("rooms.wasm"));
    const listed = Object.entries(older).map(([name, contents]) => `${sha256(contents)}  ${name}`);
    await writeFile(record(project), ["parlour 0.0.1", ...kept, ...listed].join("\n") + "\n");
    return first.split(" ")[1];
  }

  test("updates what Parlour has brought and says from which version to which", SLOW, async (t) => {
    const project = await newProject(t, "empty");
    const file = join(project, "parlour/components/rooms.wasm");
    const good = await readFile(file);
    const version = await outdate(project);
    const updated = await run(["components", project]);
    assert.equal(updated.code, 0, updated.stderr);
    assert.match(updated.stdout, new RegExp(`0\\.0\\.1 -> ${version.replaceAll(".", "\\.")}`));
    assert.match(updated.stdout, /changed +components\/rooms\.wasm/);
    assert.match(updated.stdout, /removed +components\/door\.wasm/);
    assert.deepEqual(await readFile(file), good);
    const again = await run(["components", project]);
    assert.match(again.stdout, new RegExp(`has all of ${version} already`));
  });

  test("overwrites nothing that was changed by hand unless it is told to", SLOW, async (t) => {
    const project = await newProject(t, "empty");
    await outdate(project);
    const file = join(project, "parlour/components/rooms.wasm");
    await writeFile(file, "my own");
    const refused = await run(["components", project]);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /changed by hand[^]*--overwrite[^]*components\/rooms\.wasm/);
    assert.equal(await readFile(file, "utf8"), "my own");
    assert.match(await readFile(record(project), "utf8"), /^parlour 0\.0\.1\n/);
    const told = await run(["components", project, "--overwrite"]);
    assert.equal(told.code, 0, told.stderr);
    assert.notEqual(await readFile(file, "utf8"), "my own");
  });

  test("says so where there is no project", async () => {
    const { code, stderr } = await run(["components", await newStateDir()]);
    assert.notEqual(code, 0);
    assert.match(stderr, /no project of `parlour new`/);
  });
});
