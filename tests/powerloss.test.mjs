// The app dies in the middle of a commit, is started again, and then power is lost: what anybody was told in between
// is on disk.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ask, connected, newRoom } from "./harness/clients.mjs";
import { freePort, secrets, startApp, startRelay } from "./harness/parlour.mjs";
import { compile, environment, killAfter, lose } from "./torture/powerloss.mjs";

/** How many changes of files a commit can have, at most. */
const MOST_CHANGES = 200;

test("what is acknowledged after a crash in the middle of a commit outlives a loss of power", async (t) => {
  const base = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "parlour-powerloss-"));
  t.after(() => rmSync(base, { recursive: true, force: true }));
  const folder = mkdtempSync(join(base, "disk-"));
  const journal = join(base, "journal");
  const library = compile(join(base, "powerloss.so"));
  const env = { ...secrets(), ...environment({ library, folder, journal }) };
  const listen = `127.0.0.1:${await freePort()}`;
  let app = await startApp({ stateDir: folder, listen, env });
  t.after(() => app.kill9());
  const relay = await startRelay({ origin: app.url, env, stateDir: folder });
  t.after(() => relay.kill9());
  const ada = await connected(t, relay.url, { auth: { name: "Ada" } });
  const room = newRoom();
  await ask(ada, "join", room);

  let wasAlive = false;
  for (let changes = 1; !wasAlive && changes <= MOST_CHANGES; changes++) {
    const id = `after ${changes}`;
    killAfter(journal, changes);
    const acked = ada.timeout(60_000).emitWithAck("message", { room, text: id, id });
    // The app dies before the change of this number is done, or the message is acknowledged because it has not so many.
    wasAlive = await Promise.race([app.exited.then(() => false), acked.then(() => true)]);
    killAfter(journal, 0);
    if (!wasAlive) app = await startApp({ stateDir: folder, listen, env });
    await acked;
    await app.kill9();
    lose({ folder, journal, mode: "all", random: () => 0 });
    app = await startApp({ stateDir: folder, listen, env });
    const history = await ada.timeout(60_000).emitWithAck("history", { room, limit: 1 });
    assert.deepEqual(history.map(({ id }) => id), [id], `killed before change ${changes} of a commit`);
  }
  assert.ok(wasAlive, `a commit has less than ${MOST_CHANGES} changes`);
});
