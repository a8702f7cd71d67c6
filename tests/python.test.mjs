// Clients in Python. A handler of python-socketio takes exactly the arguments that it names, and python-socketio itself
// takes up no session: so the offset at the end of events is of no use there, and a client can say that it wants none.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask, connected, newRoom, next } from "./harness/clients.mjs";
import { startUp } from "./harness/parlour.mjs";
import { startPython } from "./harness/python.mjs";

/** As docs/chat.md shows it. */
const CLIENT = `
import json, sys, socketio
url, room, auth, transport, parameters = sys.argv[1:]
sio = socketio.Client(reconnection=False)

def say(what, value):
    print(json.dumps([what, value]), flush=True)

if parameters == "one":
    @sio.on("message")
    def message(message):
        say("message", message["text"])
else:
    @sio.on("message")
    def message(message, offset=None):
        say("message", [message["text"], offset])

sio.connect(url, auth=json.loads(auth), transports=[transport])
say("joined", sio.call("join", room)["room"])
sio.wait()
`;

let server;
before(async () => void (server = await startUp()));
after(() => server.stop());

for (const transport of ["websocket", "polling"]) {
  test(`over ${transport}, a handler with one parameter hears messages if the client wants no offsets`, async (t) => {
    const room = newRoom();
    const python = await startPython(t, CLIENT, server.url, room, '{"name": "Py", "offset": false}', transport, "one");
    assert.deepEqual(await python.next(), ["joined", room]);
    const ada = await connected(t, server.url);
    await ask(ada, "join", room);

    await ask(ada, "message", { room, text: "Hello" });
    assert.deepEqual(await python.next(), ["message", "Hello"]);

    // Who can come back to a session is told how far it has come, as ever.
    assert.equal((await next(ada, "message")).text, "Hello");
    assert.match(ada._lastOffset, /^\d+$/);
    assert.equal(python.complaints(), "");
  });
}

test("a client that says nothing gets offsets, which a handler can take", async (t) => {
  const room = newRoom();
  const python = await startPython(t, CLIENT, server.url, room, '{"name": "Py"}', "websocket", "two");
  assert.deepEqual(await python.next(), ["joined", room]);
  const ada = await connected(t, server.url);
  await ask(ada, "join", room);
  await ask(ada, "message", { room, text: "Hello" });
  const [what, [text, offset]] = await python.next();
  assert.deepEqual([what, text], ["message", "Hello"]);
  assert.match(offset, /^\d+$/);
});
