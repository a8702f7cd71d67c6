// How long a client waits while others attack, as a multiple of how long it waits at rest, in one run:
//
//     node bench/attacks.mjs [PART OF A NAME…]
//
// `cargo xtask build` and `npm ci` in tests/ come before. The attacks are those of tests/attacks.test.mjs.

import { cpus } from "node:os";
import { ATTACKS } from "../tests/harness/attacks.mjs";
import { secrets, startApp } from "../tests/harness/parlour.mjs";
import { siege } from "../tests/harness/siege.mjs";

const MIB = 1024 * 1024;
const LIMITS = ["--max-memory", "64MiB", "--max-client-memory", "4MiB"];

/** What is to be ended, the last first. */
function scope() {
  const ends = [];
  return {
    after: (end) => void ends.push(end),
    end: async () => {
      for (const end of ends.reverse()) await end();
    },
  };
}

const wanted = process.argv.slice(2);
const names = [...ATTACKS.keys()].filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
console.log(`${cpus().length} cores for the server, the attacker and the client that waits. p99 of 400 answers, ms:\n`);
console.log("|   rest | attacked | ratio | relay, CPU | app, CPU | memory | attack |");
console.log("| -----: | -------: | ----: | ---------: | -------: | -----: | :----- |");
for (const name of names) {
  const t = scope();
  const env = secrets();
  const app = await startApp({ env });
  t.after(() => app.kill9());
  const { rest, under, cpu, base, most } = await siege(t, name, { app, env, args: LIMITS });
  const cells = [
    rest.toFixed(1).padStart(6),
    under.toFixed(1).padStart(8),
    (under / rest).toFixed(1).padStart(5),
    `${Math.round(cpu.relay * 100)} %`.padStart(10),
    `${Math.round(cpu.app * 100)} %`.padStart(8),
    `+${Math.round((most - base) / MIB)}`.padStart(6),
  ];
  console.log(`| ${cells.join(" | ")} | ${name} |`);
  await t.end();
}
process.exit(0);
