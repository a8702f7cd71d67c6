// The torture test: a real server, hundreds of real clients, and a schedule of faults. Round after round everything
// fails in every way; then it must come to rest, and the checker must have nothing to say. `cargo xtask torture`.

import { mkdirSync, rmSync, writeFileSync, appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ARTIFACTS } from "../harness/parlour.mjs";
import { Checker } from "./checker.mjs";
import { Crowd } from "./crowd.mjs";
import { Disk } from "./disk.mjs";
import { Faults, describe } from "./faults.mjs";
import { MODES, compile, lose } from "./powerloss.mjs";
import { judgeMemory, table } from "./report.mjs";
import { Schedule, choices, stream } from "./schedule.mjs";
import { FORMS, Server } from "./server.mjs";

/** How long it may take until all rest, or all have what they must have, seconds. */
const REST = 300;

/** How many violations are printed; all are in a file. */
const PRINTED = 12;

const HELP = `node torture.mjs [OPTIONS]
  --minutes N     how long, all forms together (2)
  --seed S        a number; the same seed gives the same schedule (random)
  --form NAMES    ${Object.keys(FORMS).join(", ")}: one after another (up,split)
  --clients N     how many (240)
  --without KINDS faults to leave out
  --longest-lock SECONDS, --longest-full SECONDS   of the database's lock (25), of a full disk (20)
  --known-faults  what docs/operations.md says is kept apart may meet
  --print         print the schedule of the first rounds, and do nothing`;

async function main() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "2" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
      form: { type: "string", default: "up,split" },
      clients: { type: "string", default: "240" },
      without: { type: "string", default: "" },
      "longest-lock": { type: "string", default: "25" },
      "longest-full": { type: "string", default: "20" },
      "known-faults": { type: "boolean", default: false },
      print: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return console.log(HELP);
  const forms = values.form.split(",");
  const unknown = forms.find((form) => !(form in FORMS));
  const number = (name) => {
    const value = Number(values[name]);
    if (!(value >= 0)) throw new Error(`--${name} is a number, not ${values[name]}\n${HELP}`);
    return value;
  };
  if (unknown !== undefined) throw new Error(`there is no form ${unknown}\n${HELP}`);
  const options = {
    seed: number("seed"),
    seconds: (number("minutes") * 60) / forms.length,
    clients: number("clients"),
    knownFaults: values["known-faults"],
    without: values.without.split(",").filter(Boolean),
    longest: { lock: number("longest-lock"), full: number("longest-full") },
  };
  let found = 0;
  for (const form of forms) found += await (values.print ? print(form, options) : new Run(form, options).run());
  process.exit(found > 0 ? 1 : 0);
}

function print(form, options) {
  const schedule = new Schedule({ ...options, form: FORMS[form] });
  for (let round = 0; round < 10; round++) for (const fault of schedule.round()) console.log(`${form}, round ${round}: ${describe(fault)}`);
  return 0;
}

/** One form of the server, for a time. */
class Run {
  #began = performance.now();
  #faultsOver = 0;
  /** @type {Map<string, number[]>} */
  memory = new Map();
  rounds = 0;

  constructor(form, { seed, seconds, clients, without, longest, knownFaults }) {
    Object.assign(this, { form, seed, seconds, clients, knownFaults });
    this.folder = join(ARTIFACTS, "torture", `${form}-${seed}`);
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true });
    this.disk = new Disk();
    this.without = this.disk.limited ? without : [...without, "disk-full"];
    this.schedule = new Schedule({ seed, form: FORMS[form], without: this.without, longest, knownFaults });
    this.checker = new Checker({ now: () => this.now });
  }

  /** Seconds since it began. */
  get now() {
    return (performance.now() - this.#began) / 1000;
  }

  log(what, file = "events.log") {
    appendFileSync(join(this.folder, file), `${this.now.toFixed(2)} ${what}\n`);
  }

  /** @returns {Promise<number>} how many violations there are */
  async run() {
    console.log(`torture: form ${this.form}, seed ${this.seed}, ${this.seconds.toFixed(0)} s; logs in ${this.folder}`);
    if (!this.disk.limited) console.log("torture: no file system can be mounted here, so the disk is never full (run as root)");
    try {
      await this.#begin();
      while (this.now < this.seconds && this.checker.violations.length === 0) await this.#round();
      if (this.checker.violations.length === 0) await this.#end();
    } catch (error) {
      this.checker.violation(`the test cannot go on: ${error.stack}`);
    }
    await this.#stop();
    return this.#report();
  }

  async #begin() {
    const library = compile(join(this.disk.base, "powerloss.so"));
    const syncMicros = choices(stream(this.seed, "sync", this.form)).whole(200, 3000);
    this.server = await Server.start(this.form, { disk: this.disk, library, logs: this.folder, syncMicros });
    const { seed, server, checker, disk, knownFaults } = this;
    const log = (what) => this.log(what, "clients.log");
    this.crowd = new Crowd({ seed, size: this.clients, server, checker, knownFaults, log });
    this.faults = new Faults({ seed, server, disk, crowd: this.crowd, log: (what) => this.log(what) });
    await this.crowd.arrive();
    await this.#rest();
  }

  async #round() {
    const faults = this.schedule.round();
    this.log(`round ${++this.rounds}`);
    await this.faults.run(faults);
    this.#faultsOver = this.now;
    await this.#rest();
  }

  /** Everybody comes to rest, and what all have seen is judged. */
  async #rest() {
    this.crowd.quiet = true;
    const isQuiet = await this.#until(() => this.crowd.restless.map((person) => person.waitsFor), "does not come to rest");
    if (!isQuiet) return;
    this.log("all rest");
    await this.crowd.readHistories();
    this.checker.judge();
    const outstanding = () => (this.checker.judge(), this.checker.outstanding());
    await this.#until(outstanding, "");
    await this.#members();
    for (const [name, one] of this.server.processes) {
      for (const death of one.deaths.splice(0)) this.checker.violation(death);
      if (name !== "broker") this.memory.set(name, [...(this.memory.get(name) ?? []), one.memory]);
    }
    this.log("all is judged");
    this.crowd.quiet = false;
  }

  /** Waits until a list is empty, and says whether it is; what it still has after that time is a violation. @param {() => string[]} list */
  async #until(list, complaint) {
    const end = this.now + REST;
    let left = list();
    for (let looks = 1; left.length > 0 && this.now < end; looks++) {
      if (looks % 100 === 0) this.log(`waiting for ${left.length}, the first: ${left[0]}`);
      await sleep(100);
      left = list();
    }
    for (const line of left) this.checker.violation(`${line} ${complaint}, ${REST} s after the faults were over`);
    return left.length === 0;
  }

  /** The members' lists are right, in the end: a connection that is gone takes a while to be noticed. */
  async #members() {
    const end = this.now + REST;
    const wrong = ([, listed, present]) => listed.length !== present.length || listed.some((id) => !present.includes(id));
    let lists = await this.crowd.members();
    while (lists.some(wrong) && this.now < end) {
      await sleep(500);
      lists = await this.crowd.members();
    }
    for (const list of lists) this.checker.members(...list);
  }

  /** The last word is the disk's: power is lost once more, and the whole history read again. */
  async #end() {
    const app = this.server.processes.get(this.server.form.app);
    this.crowd.quiet = true;
    await app.end("SIGKILL");
    const random = stream(this.seed, "the end");
    lose({ folder: this.disk.folder, journal: this.server.journal, mode: choices(random).one(MODES), random });
    await app.start();
    await this.#until(() => this.crowd.restless.map((person) => person.waitsFor), "does not come to rest");
    await this.crowd.readHistories(true);
    this.checker.judge();
  }

  async #stop() {
    this.crowd?.leave();
    await this.server?.stop();
    if (!this.server) return;
    const panic = [...this.server.processes.values()].find(({ log }) => /panicked at/.test(readFileSync(log, "utf8")));
    if (panic) this.checker.violation(`${panic.name} has panicked; see ${panic.log}`);
    for (const [name, samples] of this.memory) {
      const complaint = judgeMemory(name, samples);
      if (complaint) this.checker.violation(complaint);
    }
    const verdict = this.disk.check();
    if (verdict !== "['ok'] []") this.checker.violation(`the database is damaged: ${verdict}`);
  }

  #report() {
    const { violations, uncounted } = this.checker;
    const all = violations.map((line) => `${line}\n`).join("");
    if (all) writeFileSync(join(this.folder, "violations.txt"), all);
    const lines = violations.length > 0 ? [`\n${violations.length + uncounted} violations:`, ...violations.slice(0, PRINTED)] : [];
    const counts = [...(this.crowd?.counts ?? [])].map(([what, count]) => `${count} × ${what}`).sort();
    if (this.faults) lines.unshift(table({ ...this, seconds: this.now }));
    writeFileSync(join(this.folder, "report.txt"), [...lines, "", ...counts].join("\n"));
    console.log(`${lines.join("\n")}\n`);
    return violations.length + uncounted;
  }
}

await main().catch((error) => {
  console.error(error.message);
  process.exit(2);
});
