// `parlour dev`: what somebody edits serves a moment later, and no client is disconnected by it.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import { connected, next, stayedConnected } from "./harness/clients.mjs";
import { SLOW, edit, project, said, startDev } from "./harness/dev.mjs";
import { BUILD_TIMEOUT } from "./harness/projects.mjs";
import { http } from "./harness/raw.mjs";

test("a client stays connected over five edits, one of which does not compile, and sees what each good one does", SLOW, async (t) => {
  const dev = await startDev(t);
  await dev.listening(BUILD_TIMEOUT);
  const ann = await connected(t, dev.url, { reconnection: false });
  await ann.emitWithAck("join", "general");
  const { id } = ann;
  const says = async (text) => {
    await ann.emitWithAck("chat message", "general", "Hello");
    assert.equal((await next(ann, "chat message")).text, text);
  };
  const edited = async (file, from, to) => {
    const start = dev.stderr.length;
    await edit(file, from, to);
    await said(dev, /The new code serves/, start);
    assert.match(dev.stderr.slice(start), new RegExp(`Changed: .*${file}`));
  };
  await says("Hello");

  await edited("src/lib.rs", '"text": text', '"text": format!("{text}, first")');
  await says("Hello, first");

  const start = dev.stderr.length;
  await edit("src/lib.rs", 'format!("{text}, first")', 'format!("{text}, second"');
  await said(dev, /What ran before goes on serving/, start);
  const error = dev.stderr.slice(start);
  assert.match(error, /^error/m, "the compiler's own words");
  assert.match(error, /src\/lib\.rs:\d+:\d+/);
  assert.match(error, /the component chat does not build: `cargo build/);
  await says("Hello, first");

  await edited("src/lib.rs", 'format!("{text}, second"', 'format!("{text}, second")');
  await says("Hello, second");

  const about = '\n[[trigger.http]]\nroute = "/about"\nstatic_response = { body = "mine" }\n';
  await edited("spin.toml", "# --- What Parlour brings", `${about}\n# --- What Parlour brings`);
  assert.equal((await http(dev.url, "/about")).body, "mine");
  await says("Hello, second");

  await edited("page/index.html", `<h1>${basename(project)}</h1>`, "<h1>A page of my own</h1>");
  assert.match((await http(dev.url, "/")).body, /A page of my own/);
  await says("Hello, second");

  stayedConnected(ann);
  assert.equal(ann.id, id);
  assert.equal(dev.stdout, `Listening on ${dev.url}\n`);
});

test("what does not build at first is waited for", SLOW, async (t) => {
  const good = await readFile(join(project, "src/lib.rs"), "utf8");
  await writeFile(join(project, "src/lib.rs"), `${good}\nfn broken() -> u32 { nobody }\n`);
  const dev = await startDev(t);
  await said(dev, /It is tried again when a file changes/);
  assert.match(dev.stderr, /cannot find value `nobody`/);
  await writeFile(join(project, "src/lib.rs"), good);
  await dev.listening(BUILD_TIMEOUT);
  await (await connected(t, dev.url)).emitWithAck("join", "general");
});
