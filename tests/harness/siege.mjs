// A relay under attack, and what another client of it notices.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { cpuTime, memory, p99, times } from "./attack.mjs";
import { ATTACKS } from "./attacks.mjs";
import { connected } from "./clients.mjs";
import { startRelay, within } from "./parlour.mjs";

/** How many questions the other client asks, at rest and under attack. */
const QUESTIONS = 400;
/** For an attacker to begin, and to end, milliseconds. */
const PATIENT = 60_000;
const ATTACKER = fileURLToPath(new URL("attacker.mjs", import.meta.url));

/**
 * A relay of its own, and another client that asks its questions at rest and then under an attack, which comes from
 * another process.
 * @param {import("./attacks.mjs").Scope} t
 * @param {string} name one of ATTACKS
 * @param {{app: import("./parlour.mjs").Process, env: Record<string, string>, args: string[]}} options the app's, and the
 * relay's
 */
export async function siege(t, name, { app, args, env }) {
  const relay = await startRelay({ origin: app.url, env, args: [...args, ...(ATTACKS.get(name)?.args ?? [])] });
  t.after(() => relay.stop());
  const witness = await connected(t, relay.url);
  const rest = p99(await times(witness, QUESTIONS));
  const base = (await memory(relay.child.pid)).now;

  const attacker = fork(ATTACKER, [name, relay.url]);
  t.after(() => attacker.kill("SIGKILL"));
  const ended = once(attacker, "exit");
  await within(PATIENT, Promise.race([once(attacker, "message"), ended]), () => "the attack does not begin");
  const spent = () => Promise.all([performance.now(), cpuTime(relay.child.pid), cpuTime(app.child.pid)]);
  const before = await spent();
  const under = p99(await times(witness, QUESTIONS));
  const [wall, ...cpu] = (await spent()).map((now, index) => now - before[index]);
  attacker.send("over");
  const [code] = await within(PATIENT, ended, () => "the attack does not end");
  if (code !== 0) throw new Error(`the attacker ended with ${code}`);

  const { most } = await memory(relay.child.pid);
  return { relay, witness, rest, under, base, most, cpu: { relay: cpu[0] / wall, app: cpu[1] / wall } };
}
