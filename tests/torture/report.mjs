// What a run has done and seen, as a table; and how much memory the processes may use.

/** Bytes that a process may have at rest, whatever happened. */
const MOST_MEMORY = { app: 1 << 30, up: 1 << 30, relay: 512 << 20 };

/** A process has grown without end if the last third of its samples is so much above the first. */
const GROWTH = { factor: 1.5, bytes: 64 << 20 };
const SAMPLES = 9;

/** The value that a share of the sorted list is below. @param {number[]} list */
export function quantile(list, share) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** What is wrong with the memory of a process, if anything. @param {string} name @param {number[]} samples bytes at each rest */
export function judgeMemory(name, samples) {
  const megabytes = (bytes) => `${(bytes / (1 << 20)).toFixed(0)} MiB`;
  const most = MOST_MEMORY[name.replace(/-\d+$/, "")];
  const worst = Math.max(...samples);
  if (worst > most) return `${name} has ${megabytes(worst)} at rest, more than ${megabytes(most)}`;
  if (samples.length < SAMPLES) return undefined;
  const third = Math.floor(samples.length / 3);
  const [first, last] = [quantile(samples.slice(0, third), 0.5), quantile(samples.slice(-third), 0.5)];
  if (last > first * GROWTH.factor + GROWTH.bytes) return `${name} has grown from ${megabytes(first)} to ${megabytes(last)} at rest`;
  return undefined;
}

/**
 * @param {object} run
 * @param {string} run.form @param {number} run.seed @param {number} run.seconds @param {number} run.rounds
 * @param {import("./faults.mjs").Faults} run.faults
 * @param {import("./crowd.mjs").Crowd} run.crowd
 * @param {import("./checker.mjs").Checker} run.checker
 * @param {Map<string, number[]>} run.memory
 */
export function table({ form, seed, seconds, rounds, faults, crowd, checker, memory }) {
  const fault = (kind) => faults.counts.get(kind) ?? 0;
  const count = (what) => crowd.counts.get(what) ?? 0;
  const milliseconds = (share) => `${quantile(crowd.latencies, share).toFixed(0)} ms`;
  const rows = [
    ["form, seed", `${form}, ${seed}`],
    ["time, rounds", `${seconds.toFixed(0)} s, ${rounds}`],
    ["kills, stops, pauses", `${fault("kill")}, ${fault("stop")}, ${fault("pause")}`],
    ["losses of power (changes not durable, lost)", `${fault("power-loss") + fault("kill-power-loss")} (${faults.losses.changes}, ${faults.losses.lost})`],
    ["links cut, half open, stalled, slowed", ["cut", "half-open", "stall", "delay"].map(fault).join(", ")],
    ["disk full, database locked", `${fault("disk-full")}, ${fault("lock")}`],
    ["clients dropped, away, replaced (times)", ["drop", "away", "replace"].map(fault).join(", ")],
    ["clients now, connects", `${crowd.people.length}, ${count("first connects")}`],
    ["reconnects to a session, to a new one", `${count("recoveries")}, ${count("reconnects to a new session")}`],
    ["messages sent, acknowledged, delivered", `${checker.messages.size}, ${checker.acked}, ${checker.delivered}`],
    ["acknowledged after (p50, p99, longest)", [0.5, 0.99, 1].map(milliseconds).join(", ")],
    ["memory at rest (first, last)", [...memory].map(([name, samples]) => `${name} ${[samples[0], samples.at(-1)].map((bytes) => Math.round(bytes / (1 << 20))).join(" → ")} MiB`).join(", ")],
    ["violations", String(checker.violations.length + checker.uncounted)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
