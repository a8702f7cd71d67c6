// The torture test's schedule is made of its seed alone, and has everything in it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FORMS } from "./server.mjs";
import { Schedule } from "./schedule.mjs";

const options = { seed: 7, form: FORMS.split, without: [], longest: { lock: 25, full: 20 } };
const rounds = (changed, count = 12) => {
  const schedule = new Schedule({ ...options, ...changed });
  return Array.from({ length: count }, () => schedule.round());
};

test("the same seed gives the same schedule, another seed another", () => {
  assert.deepEqual(rounds(), rounds());
  assert.notDeepEqual(rounds(), rounds({ seed: 8 }));
});

test("each kind of fault comes, to each process and link, and nothing that is left out", () => {
  const all = rounds().flat();
  const kinds = new Set(all.map(({ kind }) => kind));
  for (const kind of ["kill", "stop", "pause", "power-loss", "kill-power-loss", "cut", "delay", "stall", "half-open", "drop", "away", "replace", "lock", "disk-full"]) assert.ok(kinds.has(kind), kind);
  for (const name of [...FORMS.split.processes, ...FORMS.split.links]) assert.ok(all.some(({ target }) => target === name), name);
  assert.ok(rounds({ without: ["lock"] }).flat().every(({ kind }) => kind !== "lock"));
});

test("two faults of one target do not overlap", () => {
  for (const faults of rounds({}, 50)) {
    const until = new Map();
    for (const { at, target, seconds } of faults) {
      assert.ok(at >= (until.get(target) ?? 0), target);
      until.set(target, at + seconds);
    }
  }
});
