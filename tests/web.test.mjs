// What is served over plain HTTP: the page, and Socket.IO's client as Socket.IO's server serves it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startUp } from "./harness/parlour.mjs";
import { http } from "./harness/raw.mjs";
import { startReference } from "./harness/reference.mjs";

let parlour, reference;
before(async () => void ([parlour, reference] = await Promise.all([startUp(), startReference()])));
after(() => Promise.all([parlour.stop(), reference.stop()]));

describe("Socket.IO's client is served as Socket.IO serves it", () => {
  for (const file of ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"]) {
    test(`/socket.io/${file}`, async () => {
      const [ours, theirs] = await Promise.all([parlour, reference].map(({ url }) => http(url, `/socket.io/${file}`)));
      assert.equal(ours.status, 200);
      assert.match(ours.body, /^\/\*!\n \* Socket\.IO v4\.8\./);
      assert.equal(ours.headers["content-type"], theirs.headers["content-type"]);
    });

    test(`/socket.io/${file} has an ETag, and who knows it gets 304 without a body`, async () => {
      const path = `/socket.io/${file}`;
      const { headers } = await http(parlour.url, path);
      const etag = headers.etag ?? "";
      assert.match(etag, /^(W\/)?"[^"]+"$/);

      const known = await http(parlour.url, path, { headers: { "if-none-match": etag } });
      assert.deepEqual([known.status, known.body], [304, ""]);
      const outdated = await http(parlour.url, path, { headers: { "if-none-match": '"3.0.0"' } });
      assert.equal(outdated.status, 200);
    });
  }

  test("its source maps", async () => {
    for (const file of ["socket.io.js.map", "socket.io.min.js.map", "socket.io.esm.min.js.map"]) {
      const { status, body } = await http(parlour.url, `/socket.io/${file}`);
      assert.equal(status, 200, file);
      assert.equal(JSON.parse(body).version, 3);
    }
  });
});

describe("the page", () => {
  test("is HTML, and everything it names is there", async () => {
    const { status, headers, body } = await http(parlour.url, "/");
    assert.equal(status, 200);
    assert.match(headers["content-type"] ?? "", /^text\/html/);
    const named = [...body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, path]) => new URL(path, parlour.url));
    const own = named.filter(({ origin }) => origin === parlour.url);
    assert.ok(own.length > 0);
    assert.deepEqual(own.length, named.filter(({ protocol }) => protocol.startsWith("http")).length, "nothing comes from elsewhere");
    for (const { pathname } of own) assert.equal((await http(parlour.url, pathname)).status, 200, pathname);
  });

  test("is small: less than 40 kB with gzip, Socket.IO's client included", async () => {
    const packed = { headers: { "accept-encoding": "gzip" } };
    const { body } = await http(parlour.url, "/");
    const own = [...body.matchAll(/(?:src|href)="(\/assets\/[^"#]+)"/g)].map(([, path]) => path);
    assert.ok(own.length >= 2, "a script and a style sheet");
    let bytes = 0;
    for (const path of ["/", ...own]) bytes += Number((await http(parlour.url, path, packed)).headers["content-length"]);
    assert.ok(bytes > 10_000 && bytes < 40_000, `${bytes} bytes`);
  });

  test("a file that is not there is 404", async () => {
    assert.equal((await http(parlour.url, "/no/such/file.js")).status, 404);
  });

  test("HEAD is GET without a body", async () => {
    const { status, body } = await http(parlour.url, "/", { method: "HEAD" });
    assert.deepEqual([status, body], [200, ""]);
  });

  test("what is there cannot be changed", async () => {
    const { status } = await http(parlour.url, "/", { method: "PUT", body: "mine" });
    assert.ok([404, 405].includes(status), `${status}`);
  });
});
