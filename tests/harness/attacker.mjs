// One attack, as a process: `node attacker.mjs NAME URL`. It says that it has begun, attacks until it is told that it is
// over, hangs up and ends.

import { ending, hangUp } from "./attack.mjs";
import { ATTACKS } from "./attacks.mjs";

const [name, url] = process.argv.slice(2);
const attack = ATTACKS.get(name);
if (!attack) throw new Error(`there is no attack ${name}`);

const scope = { after: () => {} }; // all ends with the process
const over = ending();
process.on("message", () => over.end());
process.on("disconnect", () => process.exit(1));
const attackers = attack.act(scope, url, over);
process.send?.("begun");
await Promise.all(attackers);
await over.promise;
hangUp(scope);
process.exit(0);
