// What operators see: metrics as Prometheus scrapes them, traces as a real collector receives them, logs without colours.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE, ask, client, connected, newRoom, next } from "./harness/clients.mjs";
import { startReceiver } from "./harness/otlp.mjs";
import { ROOT, freePort, run, secrets, startApp, startRelay, startUp, within } from "./harness/parlour.mjs";
import { enterRaw, http } from "./harness/raw.mjs";

/**
 * Prometheus' text format, read strictly.
 * @returns {{types: Map<string, string>, samples: {name: string, labels: Record<string, string>, value: number}[]}}
 */
function parse(text) {
  const types = new Map();
  const samples = [];
  assert.ok(text.endsWith("\n"), "the last line has an end");
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
    if (comment) {
      if (comment[1] === "TYPE") types.set(comment[2], comment[3]);
      continue;
    }
    const sample = /^([a-z_]+)(?:\{((?:[a-z]+="[^"\\]*",?)+)\})? (\S+)$/.exec(line);
    assert.ok(sample, `not a sample: ${line}`);
    const labels = Object.fromEntries([...(sample[2] ?? "").matchAll(/([a-z]+)="([^"]*)"/g)].map((it) => [it[1], it[2]]));
    const value = sample[3] === "+Inf" ? Infinity : Number(sample[3]);
    assert.ok(!Number.isNaN(value), line);
    samples.push({ name: sample[1], labels, value });
  }
  return { types, samples };
}

/** A metric's name without what a histogram adds. */
const family = (name) => name.replace(/_(bucket|sum|count)$/, "");

/** What is measured, as a function of name and labels: the sum of the samples that have them. */
function reader(samples) {
  return (name, labels = {}) => {
    const has = (sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
    const found = samples.filter((sample) => sample.name === name && has(sample));
    assert.notEqual(found.length, 0, `no ${name} ${JSON.stringify(labels)}`);
    return found.reduce((sum, { value }) => sum + value, 0);
  };
}

describe("metrics", () => {
  const CLIENTS = 12;
  const MESSAGES = 25;
  let server;
  let control;
  const scrape = async () => {
    const { status, headers, body } = await http(control, "/metrics");
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    return parse(body);
  };
  /** Scrapes until something is so. */
  const scrapeUntil = (wanted) => {
    const wait = async () => {
      for (;;) {
        const value = reader((await scrape()).samples);
        if (wanted(value)) return value;
        await sleep(50);
      }
    };
    return within(PATIENCE, wait(), () => `it never was so: ${wanted}`);
  };

  before(async () => {
    const address = `127.0.0.1:${await freePort()}`;
    control = `http://${address}`;
    server = await startUp({ args: ["--control", address] });
  });
  after(() => server.stop());

  test("under load they are what was done", async (t) => {
    const room = newRoom();
    const sockets = [];
    for (let n = 0; n < CLIENTS; n++) {
      const socket = await connected(t, server.url);
      await ask(socket, "join", room);
      sockets.push(socket);
    }
    const member = await connected(t, server.url, { namespace: "/members", auth: { token: await server.token({}) } });
    await ask(member, "join", room);
    const start = await scrape();
    const sent = sockets.map(async (socket, n) => {
      for (let m = 0; m < MESSAGES; m++) assert.equal((await ask(socket, "message", { room, text: `${n} ${m}` })).error, undefined);
    });
    // Prometheus does not wait for a quiet moment.
    const scrapes = Promise.all([1, 2, 3].map((n) => sleep(50 * n).then(scrape)));
    await Promise.all(sent);
    await scrapes;
    const { samples, types } = await scrape();
    const [before, value] = [reader(start.samples), reader(samples)];
    const grown = (name, labels) => value(name, labels) - before(name, labels);

    assert.equal(value("parlour_connections"), CLIENTS + 1);
    assert.equal(value("parlour_sockets"), CLIENTS + 1);
    assert.equal(value("parlour_namespace_sockets", { namespace: "/" }), CLIENTS);
    assert.equal(value("parlour_namespace_sockets", { namespace: "/members" }), 1);
    assert.ok(value("parlour_namespace_rooms", { namespace: "/" }) >= 1);
    assert.equal(value("parlour_queue_bytes"), 0, "all is answered");
    assert.ok(value("parlour_client_memory_bytes") > 0);
    assert.equal(grown("parlour_events_total"), CLIENTS * MESSAGES);
    // Each message is an event for the others in the room and an acknowledgement for its sender.
    assert.ok(grown("parlour_deliveries_total") >= CLIENTS * MESSAGES * CLIENTS);

    const lobby = { namespace: "/" };
    const batches = grown("parlour_batch_events_count", lobby);
    assert.ok(batches >= 1 && batches <= CLIENTS * MESSAGES);
    assert.equal(grown("parlour_batch_events_sum", lobby), CLIENTS * MESSAGES);
    assert.equal(value("parlour_batch_events_count"), value("parlour_batches_total"), "each batch is in one namespace");
    for (const name of ["batch_bytes", "batch_duration_seconds", "commit_duration_seconds", "event_commit_seconds", "event_write_seconds"]) {
      assert.equal(grown(`parlour_${name}_count`, lobby), batches, name);
    }
    const seconds = (name) => grown(`parlour_${name}_seconds_sum`, lobby);
    assert.ok(0 < seconds("commit_duration"), "the app says what its commits took");
    assert.ok(seconds("commit_duration") < seconds("batch_duration"));
    assert.ok(seconds("batch_duration") <= seconds("event_commit"));
    assert.ok(seconds("event_commit") < seconds("event_write"));
    assert.ok(seconds("event_write") / batches < PATIENCE / 1000);
    assert.ok(value("parlour_batch_events_count", { namespace: "handshake" }) >= 1);

    for (const [name, type] of types) {
      if (type !== "histogram") continue;
      for (const { labels, value: count } of samples.filter((sample) => sample.name === `${name}_count`)) {
        const buckets = samples.filter((it) => it.name === `${name}_bucket` && it.labels.namespace === labels.namespace);
        const counts = buckets.map((bucket) => bucket.value);
        assert.deepEqual(counts, counts.toSorted((a, b) => a - b), `${name}: buckets add up`);
        assert.equal(buckets.at(-1)?.labels.le, "+Inf");
        assert.equal(counts.at(-1), count);
      }
    }
  });

  test("connections are counted by why they were closed", async (t) => {
    const closes = (reason) => (value) => value("parlour_closes_total", { reason });
    const start = reader((await scrape()).samples);
    const leaver = await connected(t, server.url);
    const open = start("parlour_connections");
    leaver.disconnect();
    const babbler = await enterRaw(t, server.url);
    babbler.send("this is no Engine.IO packet");

    const value = await scrapeUntil((value) => value("parlour_connections") === open && closes("parse error")(value) === 1);

    assert.equal(closes("parse error")(start), 0, "the series was there before");
    assert.ok(closes("transport close")(value) > closes("transport close")(start));
    assert.equal(closes("ping timeout")(value), 0);
  });

  test("a namespace that does not exist makes no time series, whoever asks for it", async (t) => {
    const stranger = client(t, server.url, { namespace: "/made-up" });
    await next(stranger, "connect_error");

    const { samples } = await scrape();

    assert.ok(!samples.some(({ labels }) => labels.namespace === "/made-up"));
    assert.ok(reader(samples)("parlour_batch_events_count", { namespace: "other" }) >= 1);
  });

  test("all are in the documentation with their types and labels, and the dashboard asks for no others", async () => {
    const { types, samples } = await scrape();
    const manual = await readFile(join(ROOT, "docs/operations.md"), "utf8");
    const rows = [...manual.matchAll(/^\| `(parlour_\w+)` \| (\w+) \| \w+ \| (?:`(\w+)`)? ?\| .+ \|$/gm)];
    const documented = rows.map(([, name, type, label]) => [name, type, label]);
    const label = (name) =>
      Object.keys(samples.find((it) => family(it.name) === name || it.name === name)?.labels ?? {}).find((it) => it !== "le");
    const there = [...types].map(([name, type]) => [name, type, label(name)]);
    assert.deepEqual(documented.toSorted(), there.toSorted());

    const dashboard = JSON.parse(await readFile(join(ROOT, "docs/grafana-dashboard.json"), "utf8"));
    const names = new Set(JSON.stringify(dashboard).match(/parlour_\w+/g)?.map(family));
    assert.deepEqual([...names].filter((name) => !types.has(name)), []);
    assert.deepEqual([...types.keys()].filter((name) => !names.has(name)), [], "the dashboard shows everything");
  });
});

describe("traces", () => {
  /** The app, and in front of it something that notes the headers of batches. */
  async function watchedApp(t) {
    const env = secrets();
    const app = await startApp({ env });
    t.after(() => app.kill9());
    const { hostname, port } = new URL(app.url);
    /** @type {import("node:http").IncomingHttpHeaders[]} */
    const batches = [];
    const watched = { env, batches, stateDir: app.stateDir, origin: "", delay: 0 };
    const watch = createServer(async (asked, answer) => {
      batches.push(asked.headers);
      await sleep(watched.delay);
      const { method, url: path, headers } = asked;
      const passed = request({ hostname, port, method, path, headers }, (said) => {
        answer.writeHead(said.statusCode ?? 502, said.headers);
        said.pipe(answer);
      });
      passed.on("error", () => answer.destroy());
      asked.pipe(passed);
    });
    watch.listen(0, "127.0.0.1");
    await once(watch, "listening");
    t.after(() => (watch.close(), watch.closeAllConnections()));
    const { port: own } = /** @type {import("node:net").AddressInfo} */ (watch.address());
    return Object.assign(watched, { origin: `http://127.0.0.1:${own}` });
  }

  /**
   * A relay before that app. One client says something, and says more while the app is still at it, for so many
   * milliseconds.
   */
  async function said(t, env, busy = 0) {
    const app = await watchedApp(t);
    const relay = await startRelay({ origin: app.origin, stateDir: app.stateDir, env: { ...app.env, ...env } });
    t.after(() => relay.kill9());
    const socket = await connected(t, relay.url);
    const room = newRoom();
    await ask(socket, "join", room);
    app.delay = busy;
    const first = ask(socket, "message", { room, text: "first" });
    await sleep(busy / 4);
    const second = ask(socket, "message", { room, text: "second" });
    for (const answer of await Promise.all([first, second])) assert.equal(answer.error, undefined);
    socket.disconnect();
    return { relay, batches: app.batches };
  }

  /** The spans that a receiver has shown: their times are nanoseconds since 1970. */
  function spans(log) {
    const shown = log.split(/^Span \\?#\d+$/m).slice(1);
    return shown.map((text) => {
      const field = (name) => new RegExp(`^ *${name} *: ?(.*)$`, "m").exec(text)?.[1] ?? "";
      const events = [...text.matchAll(/-> Name: (\w+)\s+-> Timestamp: (\d+)/g)].map(([, name, time]) => [name, BigInt(time)]);
      return {
        id: `${field("Trace ID")}-${field("ID")}`,
        name: field("Name"),
        start: BigInt(field("Start time")),
        end: BigInt(field("End time")),
        events: Object.fromEntries(events),
        namespace: /parlour\.namespace: Str\((.*)\)/.exec(text)?.[1],
      };
    });
  }

  test("begin at the frame, go with the batch to the app, and arrive at a real collector", async (t) => {
    const receiver = await startReceiver(t);
    const busy = 400;
    const { relay, batches } = await said(
      t,
      { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SERVICE_NAME: "chat-relay", OTEL_BSP_SCHEDULE_DELAY: "100" },
      busy,
    );
    assert.equal((await relay.stop()).code, 0);

    // What a relay asks about its set-up is no client's doing, and belongs to no trace.
    const ofClients = batches.filter((headers) => headers["parlour-lane"] !== "check");
    const parents = ofClients.map(({ traceparent }) => /^00-([0-9a-f]{32}-[0-9a-f]{16})-01$/.exec(String(traceparent))?.[1]);
    assert.ok(parents.length >= 5 && parents.every(Boolean), JSON.stringify(batches));
    // It receives all before it shows the last one.
    const arrived = async () => {
      while (!parents.every((parent) => spans(receiver.log).some(({ id }) => id === parent))) await sleep(50);
    };
    await within(PATIENCE, arrived(), () => `not all of ${parents} arrived:\n${receiver.log}`);

    assert.match(receiver.log, /service\.name: Str\(chat-relay\)/);
    const found = spans(receiver.log);
    assert.equal(new Set(found.map(({ id }) => id)).size, parents.length, "one span for each batch");
    for (const { name, start, end, events } of found) {
      assert.equal(name, "batch");
      assert.ok(start <= events.sent && events.sent < events.answered && events.answered <= end);
    }
    const waited = found.filter(({ namespace }) => namespace === "/").map(({ start, events }) => Number(events.sent - start) / 1e6);
    assert.ok(Math.max(...waited) > busy / 2, `one has waited for the app before it was sent: ${waited} ms`);
  });

  test("are not made unless they are asked for", async (t) => {
    const { batches } = await said(t, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_SDK_DISABLED: "true" });
    assert.ok(batches.every(({ traceparent }) => traceparent === undefined));
  });

  test("nobody waits for a collector that is away, and the log says that it is", async (t) => {
    const { relay } = await said(t, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY: "100" });
    await sleep(500);
    assert.equal((await relay.stop()).code, 0);
    assert.match(relay.stderr, /ExportError|ExportFailed/);
  });

  test("what cannot be done is an error at start that names the variable", async () => {
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };
    for (const wrong of [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example" },
      { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      { ...endpoint, OTEL_TRACES_SAMPLER: "xray" },
    ]) {
      const args = ["relay", "--origin", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
      const { code, stderr } = await run(args, undefined, wrong);
      assert.equal(code, 1);
      assert.ok(stderr.includes(Object.keys(wrong).at(-1)), stderr);
    }
  });
});

describe("logs", () => {
  test("have no colours where there is no terminal", async (t) => {
    const server = await startUp({ env: { RUST_LOG: "debug", CLICOLOR_FORCE: "1" } });
    t.after(() => server.kill9());
    const socket = await connected(t, server.url);
    socket.disconnect();
    await server.stop();
    const wrong = await run(["up", "--no-such-flag"]);
    const output = server.logs + wrong.stderr + wrong.stdout;
    assert.match(output, /socket connected/);
    assert.match(output, /no-such-flag/);
    assert.ok(!output.includes("\x1b"), JSON.stringify(output.slice(output.indexOf("\x1b"), output.indexOf("\x1b") + 200)));
  });
});
