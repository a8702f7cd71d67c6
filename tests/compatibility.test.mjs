// docs/compatibility.md says what there is of Socket.IO and which test shows it. Here: that those tests exist, and that
// it has counted right.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { ROOT } from "./harness/parlour.mjs";

const STATUSES = ["done", "different", "refused"];
const TESTED = ["tests", "crates", "components"];

/** @typedef {{line: number, feature: string, status: string, here: string, proofs: string[]}} Row */

/** @type {string[][]} */
let tables;
/** @type {Row[]} */
let rows;
/** The paths and texts of all files that may have tests. @type {Map<string, string>} */
const files = new Map();

before(async () => {
  const text = await readFile(join(ROOT, "docs/compatibility.md"), "utf8");
  const lines = text.split("\n").map((line, at) => [`${at + 1}`, ...cells(line)]);
  tables = lines.filter((line) => line.length > 1);
  rows = tables.filter(([, , status]) => STATUSES.includes(status)).map(([line, feature, status, here, proofs = ""]) => ({
    line: Number(line),
    feature,
    status,
    here,
    proofs: proofs.split("; ").filter(Boolean),
  }));
  for (const folder of TESTED) {
    for (const entry of await readdir(join(ROOT, folder), { withFileTypes: true, recursive: true })) {
      const path = join(entry.path, entry.name);
      const isSource = /\.(rs|mjs)$/.test(path) && !/node_modules|\/target\//.test(path);
      if (isSource) files.set(path, await readFile(path, "utf8"));
    }
  }
});

test("every row has a status, and a reason or a test", () => {
  const others = tables.filter(([, , status]) => !STATUSES.includes(status) && !["status", "---", "rows"].includes(status) && !/^\d+$/.test(status));
  assert.deepEqual(others, []);
  for (const { line, feature, status, here, proofs } of rows) {
    const where = `line ${line}, ${feature}`;
    if (status !== "done") assert.ok(here, `${where}: how or why?`);
    if (status === "done") assert.ok(proofs.length > 0, `${where}: which test shows it?`);
    if (status === "refused") assert.deepEqual(proofs, [], `${where}: what is not there is shown by no test`);
  }
});

test("every test that is named exists", () => {
  const missing = rows.flatMap(({ line, proofs }) => proofs.filter((proof) => !exists(proof)).map((proof) => `line ${line}: ${proof}`));
  assert.deepEqual(missing, []);
});

test("the rows are counted right", () => {
  const said = tables.filter(([, status, count]) => STATUSES.includes(status) && /^\d+$/.test(count));
  const counts = STATUSES.map((status) => [status, rows.filter((row) => row.status === status).length]);
  assert.deepEqual(said.map(([, status, count]) => [status, Number(count)]), counts);
});

/** Whether `file › text` is a test: of JavaScript by a part of its name, in Rust by the beginning of it. */
function exists(proof) {
  const [file, name] = proof.split(" › ");
  if (!name) return false;
  const isRust = file.endsWith(".rs");
  const ends = isRust ? [`/${file}`] : [`/tests/${file}.test.mjs`, `/tests/contract/${file}.mjs`];
  const texts = [...files].filter(([path]) => ends.some((end) => path.endsWith(end))).map(([, text]) => text);
  // A test's name is an argument, or the key of a table of tests.
  const isTest = (line) => (isRust ? line.includes(`fn ${name}`) : line.includes(name) && /^\s*((test|describe)\(|"[^"]*":)/.test(line));
  return texts.some((text) => text.split("\n").some(isTest));
}

/** The cells of a table's row. @returns {string[]} */
function cells(line) {
  if (!line.startsWith("|")) return [];
  return line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim());
}
