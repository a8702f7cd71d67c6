// The disk that the app's state is on: a small file system of its own in memory, that can be full at any moment; and
// another process that holds the write lock of the database.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Bytes that the disk has. Memory is used only for what is written. */
const SIZE = 2 ** 31;

/** Takes the lock, says so, and keeps it until it is killed: it never closes the database. */
const HOLDER = `
import sqlite3, sys, time
database = sqlite3.connect("file:" + sys.argv[1] + "?mode=rw", uri=True, isolation_level=None, timeout=60)
database.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(3600)`;

export class Disk {
  /** Whether it can be full. */
  limited = false;
  #holder;

  constructor() {
    this.base = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "parlour-torture-"));
    this.folder = join(this.base, "disk");
    mkdirSync(this.folder, { mode: 0o700 });
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE},mode=0700`, "tmpfs", this.folder], { stdio: "ignore" });
      this.limited = true;
    } catch {
      // Only root may mount.
    }
    process.on("exit", () => this.#remove());
  }

  /** The SQLite database in the folder. */
  get database() {
    const name = readdirSync(this.folder).find((name) => name.endsWith(".db"));
    if (!name) throw new Error(`there is no database in ${this.folder}`);
    return join(this.folder, name);
  }

  /** From now on it has no byte left, until `free`. */
  fill() {
    for (let tries = 0; tries < 20; tries++) {
      const { blocks, bfree, bsize } = statfsSync(this.folder);
      // What is written in between makes this fail.
      if (this.#resize((blocks - bfree) * bsize)) return true;
    }
    return false;
  }

  free() {
    this.#resize(SIZE);
  }

  #resize(size) {
    try {
      execFileSync("mount", ["-o", `remount,size=${size}`, this.folder], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  }

  /** Waits until another process has the lock. */
  async lock() {
    await this.unlock();
    const holder = spawn("python3", ["-c", HOLDER, this.database], { stdio: ["ignore", "pipe", "ignore"] });
    this.#holder = holder;
    await Promise.race([once(holder.stdout, "data"), once(holder, "exit")]);
    return holder.exitCode === null && holder.signalCode === null;
  }

  async unlock() {
    const holder = this.#holder;
    this.#holder = undefined;
    if (!holder || holder.exitCode !== null || holder.signalCode !== null) return;
    holder.kill("SIGKILL");
    await once(holder, "exit");
  }

  /** What SQLite says about the file, now that nobody uses it. */
  check() {
    const program = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print([row[0] for row in database.execute("PRAGMA integrity_check")], database.execute("PRAGMA foreign_key_check").fetchall())`;
    return execFileSync("python3", ["-c", program, this.database], { encoding: "utf8" }).trim();
  }

  #remove() {
    this.#holder?.kill("SIGKILL");
    if (this.limited) {
      try {
        execFileSync("umount", ["--lazy", this.folder], { stdio: "ignore" });
      } catch {
        return console.error(`cannot unmount ${this.folder}`);
      }
    }
    rmSync(this.base, { recursive: true, force: true });
  }
}
