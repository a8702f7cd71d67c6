// The shim of the torture test really loses what was not synced, and nothing else. SQLite itself is the witness,
// run by Python under the shim and killed.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MODES, compile, environment, killAfter, lose } from "./powerloss.mjs";
import { stream } from "./schedule.mjs";

// In memory where there is such a folder: the kernel's own syncs prove nothing here, and take long.
const base = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "powerloss-"));
process.on("exit", () => rmSync(base, { recursive: true, force: true }));
const library = compile(join(base, "powerloss.so"));
let count = 0;

/** A folder and its journal. */
function machine() {
  const own = mkdtempSync(join(base, `machine-${++count}-`));
  const folder = mkdtempSync(join(own, "disk-"));
  return { folder, journal: join(own, "journal") };
}

/** Runs Python under the shim until it prints "done", and kills it. */
async function runAndKill({ folder, journal }, program) {
  const env = { ...process.env, ...environment({ library, folder, journal }) };
  const child = spawn("python3", ["-c", `${program}\nprint("done", flush=True)\nimport time\ntime.sleep(600)`], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  const [said] = await once(child.stdout, "data");
  assert.equal(String(said).trim(), "done");
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** SQLite in WAL mode: a commit before, then `count` commits. */
const commits = (synchronous, count) => `
import sqlite3
db = sqlite3.connect("chat.db", isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("PRAGMA synchronous = FULL")
db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER, text TEXT)")
db.execute("PRAGMA synchronous = ${synchronous}")
for n in range(${count}):
    db.execute("INSERT INTO t VALUES (?, ?)", (n, "x" * 1500))`;

/** How many rows there are, after SQLite has looked whether the file is whole. */
function rows(folder) {
  const program = `
import sqlite3
db = sqlite3.connect("chat.db")
db.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER, text TEXT)")
print(db.execute("PRAGMA integrity_check").fetchone()[0], db.execute("SELECT count(*) FROM t").fetchone()[0])`;
  const [whole, number] = execFileSync("python3", ["-c", program], { cwd: folder, encoding: "utf8" }).split(" ");
  assert.equal(whole, "ok");
  return Number(number);
}

const always = () => 0;
const never = () => 0.999;

test("with synchronous = OFF a commit is lost, and what was synced before is not", async () => {
  const place = machine();
  await runAndKill(place, commits("OFF", 20));
  const { changes, lost } = lose({ ...place, mode: "all", random: never });
  assert.ok(changes >= 20 && lost >= 20, `${lost} of ${changes}`);
  assert.equal(rows(place.folder), 0);
});

for (const mode of MODES) {
  test(`with synchronous = FULL no commit is lost, over several processes and checkpoints, whatever else is (${mode})`, async () => {
    const random = stream("powerloss", mode);
    const place = machine();
    let expected = 0;
    for (const more of [1, 700, 40, 900]) {
      await runAndKill(place, commits("FULL", more));
      expected += more;
      lose({ ...place, mode, random });
      assert.equal(rows(place.folder), expected);
      lose({ ...place, mode: "all", random }); // who looked was not recorded: nothing is left to undo
    }
  });
}

for (const mode of MODES) {
  test(`killed in the middle of anything, no commit is lost that was over (${mode})`, async () => {
    const random = stream("anything", mode);
    const place = machine();
    let [over, changed] = [0, 0];
    for (let round = 0; round < 12; round++) {
      const { count, loss } = await commitUntilKilled(place, 1 + Math.floor(random() * 60), over, mode, random);
      const kept = rows(place.folder);
      assert.ok(kept === count || kept === count + 1, `${count} commits were over, ${kept} are there`);
      over = kept;
      changed += loss.changes;
    }
    assert.ok(changed > 12, `${changed} changes were not durable`);
  });
}

/** SQLite commits until the shim kills it: how many commits were over, and what was lost. */
async function commitUntilKilled(place, changes, before, mode, random) {
  const env = { ...process.env, ...environment({ library, ...place }) };
  killAfter(place.journal, changes);
  const program = `${commits("FULL", 1000)}\n    print(n, flush=True)`;
  const child = spawn("python3", ["-c", program], { cwd: place.folder, env, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (said += text));
  const [, signal] = await once(child, "close");
  assert.equal(signal, "SIGKILL");
  return { count: before + said.split("\n").length - 1, loss: lose({ ...place, mode, random }) };
}

test("kill -9 alone loses nothing, and the next process goes on with what is not durable yet", async () => {
  const place = machine();
  await runAndKill(place, commits("OFF", 20));
  await runAndKill(place, `import sqlite3\nassert sqlite3.connect("chat.db").execute("SELECT count(*) FROM t").fetchone() == (20,)`);
  lose({ ...place, mode: "all", random: never });
  assert.equal(rows(place.folder), 0);
});

/** Plain files: what a program did before it was killed, and what is there after the loss. */
async function after(program, mode, random, before = "old!".repeat(512)) {
  const place = machine();
  writeFileSync(join(place.folder, "a"), before);
  await runAndKill(place, `import os\n${program}`);
  lose({ ...place, mode, random });
  return Object.fromEntries(readdirSync(place.folder).map((name) => [name, readFileSync(join(place.folder, name), "latin1")]));
}

test("bytes, sizes and names are lost without their own sync, and kept with it", async () => {
  const old = "old!".repeat(512);
  const write = `f = os.open("a", os.O_RDWR)\nos.pwrite(f, b"new!" * 1024, 0)`;
  assert.deepEqual(await after(write, "all", never), { a: old });
  assert.deepEqual(await after(`${write}\nos.fdatasync(f)`, "all", never), { a: "new!".repeat(1024) });
  assert.deepEqual(await after(`f = os.open("a", os.O_RDWR)\nos.ftruncate(f, 4)`, "all", never), { a: old });
  const create = `f = os.open("b", os.O_RDWR | os.O_CREAT)\nos.write(f, b"b")\nos.fsync(f)`;
  assert.deepEqual(await after(create, "all", never), { a: old });
  assert.deepEqual(await after(`${create}\nos.fsync(os.open(".", os.O_RDONLY))`, "all", never), { a: old, b: "b" });
  assert.deepEqual(await after(`os.rename("a", "b")`, "all", never), { a: old });
  assert.deepEqual(await after(`os.unlink("a")`, "all", never), { a: old });
  assert.deepEqual(await after(`os.unlink("a")\nos.fsync(os.open(".", os.O_RDONLY))`, "all", never), {});
});

test("a write can be torn between sectors, and a size survive without its bytes", async () => {
  const write = `f = os.open("a", os.O_RDWR)\nos.pwrite(f, b"new!" * 1024, 0)`;
  const coin = stream("torn");
  const { a } = await after(write, "some", coin);
  const sectors = a.match(/[^]{512}/g) ?? [];
  const kinds = new Set(sectors.map((sector) => sector.slice(0, 4)));
  assert.ok(sectors.every((sector) => sector === sector.slice(0, 4).repeat(128)), "each sector is whole");
  assert.ok(kinds.size > 1, `sectors of both: ${[...kinds]}`);
  assert.deepEqual(await after(write, "some", always), { a: "new!".repeat(1024) }, "all can survive, too");
});
