// Attacks by clients that mean harm, by name. Each is told where the server is and when it is over, and is run in a
// process of its own (attacker.mjs), so that what it costs itself is not counted as the server's slowness.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { flood, frame, openWebSocket, several, tcp } from "./attack.mjs";
import { ask, connected } from "./clients.mjs";

/**
 * @typedef {object} Scope what ends with the attack: a test's context will do
 * @property {(end: () => unknown) => void} after
 *
 * @typedef {object} Attack
 * @property {(t: any, url: string, over: ReturnType<import("./attack.mjs").ending>) => Promise<unknown>[]} act
 * @property {string[]} args the relay's, besides the usual ones
 */

/** @type {Map<string, Attack>} */
export const ATTACKS = new Map();

/** @param {string} name @param {Attack["act"]} act @param {{args?: string[]}} options */
function attack(name, act, { args = [] } = {}) {
  ATTACKS.set(name, { act, args });
}

attack("pings whose pongs nobody reads", (t, url, over) => {
  const chunk = Buffer.concat(Array.from({ length: 500 }, () => frame("ping", "p".repeat(125))));
  return several(8, async () => {
    const { socket } = await openWebSocket(t, url);
    await flood(socket, chunk, over);
  });
});

attack("refusals that echo a namespace of 900 kB, which nobody reads", (t, url, over) => {
  const chunk = frame("text", `40/${"n".repeat(900_000)},`);
  return several(8, async () => {
    const { socket } = await openWebSocket(t, url);
    await flood(socket, chunk, over);
  });
});

attack("CONNECTs of a client whose handshake is large", (t, url, over) => {
  const names = Array.from({ length: 200 }, (_, index) => frame("text", `40/nowhere-${index},`));
  const chunk = Buffer.concat(names);
  return several(8, async () => {
    const { socket, status } = await openWebSocket(t, url, { query: `&x=${"q".repeat(14_000)}` });
    assert.equal(status, 101);
    socket.resume();
    await flood(socket, chunk, over);
  });
});

attack("events for many namespaces that wait until the client is let in", (t, url, over) => {
  const event = `["x","${"e".repeat(900_000)}"]`;
  return several(8, async (attacker) => {
    while (!over()) {
      const { socket } = await openWebSocket(t, url);
      socket.resume();
      for (let index = 0; index < 256 && !socket.destroyed && !over(); index += 1) {
        const name = `/nowhere-${attacker}-${index}`;
        const chunk = Buffer.concat([frame("text", `40${name},`), frame("text", `42${name},${event}`)]);
        const ended = once(socket, "close").catch(() => {}); // the relay may have closed it: no error of the test's
        if (!socket.write(chunk)) await Promise.race([once(socket, "drain").catch(() => {}), ended, over.promise]);
        await new Promise(setImmediate); // the other attackers have their turns
      }
      socket.destroy();
    }
  });
});

attack("binary packets whose last attachment never comes", (t, url, over) => {
  const placeholders = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`);
  const packet = frame("text", `4510-["x",${placeholders}]`);
  const chunk = Buffer.concat([packet, ...Array.from({ length: 9 }, () => frame("binary", Buffer.alloc(990_000, 1)))]);
  return several(60, async () => {
    const { socket } = await openWebSocket(t, url);
    socket.resume();
    socket.write(frame("text", "40"));
    socket.write(chunk);
    await over.promise;
  });
});

attack("more rooms than a socket may be in", (t, url, over) => [
  (async () => {
    const socket = await connected(t, url);
    let refused = 0;
    for (let index = 0; index < 27_000 && refused < 100; index += 100) {
      const joins = Array.from({ length: 100 }, (_, more) => ask(socket, "join", `room-${index + more}`));
      refused += (await Promise.all(joins)).filter((answer) => answer?.error?.code === "too_many_rooms").length;
    }
    assert.ok(refused >= 100, "every room was let in");
    await over.promise;
    socket.disconnect();
  })(),
]);

const sessions = (t, url, over) => [
  (async () => {
    const request = `GET /socket.io/?EIO=4&transport=polling&x=${"q".repeat(14_000)} HTTP/1.1\r\nHost: x\r\n\r\n`;
    while (!over()) {
      // The server ends it with the first request that it turns down.
      const socket = await tcp(t, url);
      socket.resume();
      await flood(socket, Buffer.from(request.repeat(100)), over);
    }
  })(),
];
// They are given up soon, so that others can come again.
const soon = { args: ["--connect-timeout", "3000"] };
attack("sessions by the thousand over one TCP connection, each with a large handshake", sessions, soon);

attack("members of a room who do not read what it says", (t, url, over) => [
  ...several(20, async () => {
    const { socket } = await openWebSocket(t, url);
    socket.write(frame("text", "40"));
    socket.write(frame("text", '42["join","loud"]'));
    await over.promise;
  }),
  (async () => {
    const speaker = await connected(t, url);
    await ask(speaker, "join", "loud");
    const text = "t".repeat(4000);
    while (!over()) await Promise.all(several(20, () => ask(speaker, "message", { room: "loud", text })));
  })(),
]);

attack("downloads that nobody reads", (t, url, over) =>
  several(300, async () => {
    const socket = await tcp(t, url);
    socket.write("GET /socket.io/socket.io.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20));
    await over.promise;
  }),
);

attack("a poll whose answer nobody reads, again and again", (t, url, over) =>
  several(20, async () => {
    const { hostname, port } = new URL(url);
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const open = await (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text();
    const path = `/socket.io/?EIO=4&transport=polling&sid=${JSON.parse(open.slice(1)).sid}`;
    const reader = await tcp(t, url);
    // Each refusal is as long as its namespace. It is polled for, and not read.
    const payload = `40/${"n".repeat(900_000)},`;
    while (!over()) {
      reader.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const posted = await new Promise((resolve) => {
        const sending = request({ hostname, port, path, method: "POST", agent }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode)));
        sending.on("error", () => resolve(0)).end(payload);
        over.promise.then(() => resolve(0));
      });
      if (posted !== 200) return;
    }
  }),
);
