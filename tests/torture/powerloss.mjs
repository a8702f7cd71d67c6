// Loses power: undoes what a process has written to a folder and no sync has made durable. powerloss.c, preloaded
// into that process, keeps the journal of what was there before. Knows nothing of what the files are.
//
// The model: a file's bytes and size are durable by fsync or fdatasync of the file, its name (created, removed)
// by fsync of the folder alone. Sectors of 512 bytes are written whole or not at all.

import { execFileSync } from "node:child_process";
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("powerloss.c", import.meta.url));
const MAGIC = 0x31574c50;
const HEADER = 56;
const SECTOR = 512;
const WRITE = 1, TRUNCATE = 2, CREATE = 3, UNLINK = 4, SYNC = 5, SYNC_FOLDER = 6;

/**
 * How much of what is not durable is lost. `all` of it; `some` of it, in any order: each sector, size and name
 * for itself; or `end`: all after a moment, the write at that moment being torn.
 * @typedef {"all" | "some" | "end"} Mode
 */
export const MODES = /** @type {Mode[]} */ (["all", "some", "end"]);

/** Compiles the library. @param {string} library where to */
export function compile(library) {
  mkdirSync(dirname(library), { recursive: true });
  execFileSync(process.env.CC ?? "cc", ["-O2", "-Wall", "-fPIC", "-shared", "-o", library, SOURCE, "-ldl", "-lpthread"]);
  return library;
}

/** The environment of a process that is to lose power. `syncMicros`: how much longer a sync takes. */
export function environment({ library, folder, journal, syncMicros = 0 }) {
  killAfter(journal, 0);
  return {
    LD_PRELOAD: library,
    POWERLOSS_DIR: folder,
    POWERLOSS_JOURNAL: journal,
    POWERLOSS_CONTROL: control(journal),
    POWERLOSS_SYNC_US: String(syncMicros),
  };
}

const control = (journal) => `${journal}.control`;

/** The process kills itself before it has done so many more changes and syncs. 0: never. */
export function killAfter(journal, changes) {
  const number = Buffer.alloc(4);
  number.writeInt32LE(changes);
  // In place: the process has it mapped.
  const file = openSync(control(journal), constants.O_RDWR | constants.O_CREAT);
  writeSync(file, number, 0, 4, 0);
  closeSync(file);
}

/**
 * Undoes, now that the processes are dead. `random` decides what survives.
 * @param {{folder: string, journal: string, mode: Mode, random: () => number}} loss
 * @returns {{changes: number, lost: number}} how many changes were not durable, and of how many something is lost
 */
export function lose({ folder, journal, mode, random }) {
  const changes = existsSync(journal) ? unsynced(parse(readFileSync(journal))) : [];
  const disk = new Disk(folder, survival(mode, changes.length, random));
  let lost = 0;
  for (let index = changes.length - 1; index >= 0; index--) lost += Number(disk.undo(changes[index], index));
  disk.write();
  for (const name of readdirSync(folder)) if (name.endsWith("-shm")) rmSync(join(folder, name));
  if (existsSync(journal)) truncateSync(journal);
  return { changes: changes.length, lost };
}

/** Whether a part of a change survives. @returns {(index: number) => boolean} */
function survival(mode, count, random) {
  if (mode === "all") return () => false;
  if (mode === "some") {
    const share = [0.1, 0.5, 0.9][Math.floor(random() * 3)];
    return () => random() < share;
  }
  const moment = Math.floor(random() * count);
  return (index) => index < moment || (index === moment && random() < 0.5);
}

/** @param {Buffer} journal */
function parse(journal) {
  const records = [];
  for (let at = 0; at + HEADER <= journal.length; ) {
    if (journal.readUInt32LE(at) !== MAGIC) throw new Error(`the journal is damaged at byte ${at}`);
    const number = (offset) => Number(journal.readBigUInt64LE(at + offset));
    const [nameLength, dataLength] = [journal.readUInt32LE(at + 48), journal.readUInt32LE(at + 52)];
    const [name, end] = [at + HEADER + nameLength, at + HEADER + nameLength + dataLength];
    if (end > journal.length) break; // killed in the middle of it: the change was not made
    records.push({
      type: journal.readUInt32LE(at + 4),
      sequence: number(8),
      inode: number(16),
      offset: number(24),
      length: number(32),
      oldSize: number(40),
      name: journal.toString("utf8", at + HEADER, name),
      data: journal.subarray(name, end),
    });
    at = end;
  }
  return records;
}

/** The changes that no later sync covers. */
function unsynced(records) {
  const files = new Map();
  let folder = 0;
  for (const { type, inode, sequence } of records) {
    if (type === SYNC) files.set(inode, Math.max(files.get(inode) ?? 0, sequence));
    if (type === SYNC_FOLDER) folder = Math.max(folder, sequence);
  }
  return records.filter(({ type, inode, sequence }) => {
    if (type === WRITE || type === TRUNCATE) return sequence >= (files.get(inode) ?? 0);
    return (type === CREATE || type === UNLINK) && sequence >= folder;
  });
}

/** The folder while changes are undone, the latest first. What has survived once stays. */
class Disk {
  #folder;
  #survives;
  /** @type {Map<string, {inode: number, bytes: Buffer, sizeStays: boolean, sectors: Set<number>} | undefined>} */
  #files = new Map();
  #namesThatStay = new Set();

  constructor(folder, survives) {
    this.#folder = folder;
    this.#survives = survives;
  }

  /** True if anything of the change is lost. */
  undo(change, index) {
    if (change.type === CREATE || change.type === UNLINK) return this.#undoName(change, index);
    const file = this.#file(change.name);
    if (file?.inode !== change.inode) return false; // that file is gone for good
    const { type, offset, length, oldSize, data } = change;
    const resized = this.#undoSize(file, oldSize, type === TRUNCATE ? offset : Math.max(oldSize, offset + length), index);
    const end = type === TRUNCATE ? oldSize : offset + length;
    return this.#undoBytes(file, offset, Math.min(end, file.bytes.length), data, index) || resized;
  }

  #undoSize(file, oldSize, newSize, index) {
    if (oldSize === newSize || file.sizeStays) return false;
    if (this.#survives(index)) {
      file.sizeStays = true;
      return false;
    }
    file.bytes = file.bytes.length > oldSize ? file.bytes.subarray(0, oldSize) : Buffer.concat([file.bytes, Buffer.alloc(oldSize - file.bytes.length)]);
    return true;
  }

  #undoBytes(file, offset, end, data, index) {
    let lost = false;
    for (let sector = Math.floor(offset / SECTOR); sector * SECTOR < end; sector++) {
      if (file.sectors.has(sector)) continue;
      if (this.#survives(index)) {
        file.sectors.add(sector);
        continue;
      }
      const [from, to] = [Math.max(offset, sector * SECTOR), Math.min(end, (sector + 1) * SECTOR)];
      file.bytes.fill(0, from, to);
      data.subarray(from - offset, to - offset).copy(file.bytes, from);
      lost = true;
    }
    return lost;
  }

  #undoName({ type, name, inode, data }, index) {
    if (this.#namesThatStay.has(name)) return false;
    if (this.#survives(index)) {
      this.#namesThatStay.add(name);
      return false;
    }
    this.#file(name);
    const file = { inode, bytes: Buffer.from(data), sizeStays: false, sectors: new Set() };
    this.#files.set(name, type === UNLINK ? file : undefined);
    return true;
  }

  #file(name) {
    if (!this.#files.has(name)) {
      const path = join(this.#folder, name);
      const file = existsSync(path) ? { inode: statSync(path).ino, bytes: readFileSync(path), sizeStays: false, sectors: new Set() } : undefined;
      this.#files.set(name, file);
    }
    return this.#files.get(name);
  }

  write() {
    for (const [name, file] of this.#files) {
      if (file) writeFileSync(join(this.#folder, name), file.bytes);
      else rmSync(join(this.#folder, name), { force: true });
    }
  }
}
