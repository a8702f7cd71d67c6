// Events that the app does not survive: a handler that loops, one that traps, one that allocates without end. Who
// sent it is told so, and nobody else notices.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ask, connected, stayedConnected } from "./harness/clients.mjs";
import { ROOT, startUp, within } from "./harness/parlour.mjs";

const manifest = join(ROOT, "tests/features/spin.toml");
/** Each attempt at a handler that loops takes the whole of it; honest ones must be far below on a busy machine. */
const REQUEST_TIMEOUT = "4s";
/** For all attempts that the relay makes, milliseconds. */
const ALL_ATTEMPTS = 90_000;

let server;
before(async () => void (server = await startUp({ manifest, args: ["--request-timeout", REQUEST_TIMEOUT] })));
after(() => server.stop());

for (const event of ["loop", "trap", "allocate"]) {
  test(`${event}: the sender gets an error, others are served`, async (t) => {
    const [ada, ben] = [await connected(t, server.url), await connected(t, server.url)];
    const auth = { token: await server.token() };
    const guarded = await connected(t, server.url, { namespace: "/guarded", auth });

    let pending = true;
    const poisoned = ada.emitWithAck(event).finally(() => (pending = false));
    const beside = ben.emitWithAck("echo", "beside it");
    // Another namespace, which is another component, goes on meanwhile.
    let served = 0;
    do assert.deepEqual(await ask(guarded, "echo", ++served), served);
    while (pending);

    const answer = await within(ALL_ATTEMPTS, poisoned, () => `${event} is not answered:\n${server.logs.slice(-4000)}`);
    assert.equal(answer.error?.code, "internal", JSON.stringify(answer));
    assert.equal(await within(ALL_ATTEMPTS, beside, () => "who sent something beside it is not answered"), "beside it");
    assert.equal(await ask(ada, "echo", "afterwards"), "afterwards");
    for (const socket of [ada, ben, guarded]) stayedConnected(socket);
  });
}
