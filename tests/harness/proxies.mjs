// Starts and stops real proxies, Debian's nginx and HAProxy, in front of a server: configured as
// docs/operations.md says, by plain HTTP and by TLS.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, newStateDir, within } from "./parlour.mjs";

/** How long one may take to start, milliseconds. */
const PATIENCE = 30_000;

/** What still runs, so that nothing outlives a test that failed. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Where a program is. @param {string} name @param {string} variable */
function find(name, variable) {
  const places = [process.env[variable], `/usr/sbin/${name}`, `/usr/bin/${name}`, `/usr/local/sbin/${name}`];
  const program = places.find((path) => path && existsSync(path));
  if (program) return program;
  throw new Error(`There is no ${name}, and clients behind one must be tested: install it (Debian: \`apt-get install ${name}\`), or name it in ${variable}`);
}

/** A certificate for 127.0.0.1 that nobody else trusts: its file, with the key, and its folder. */
async function certificate(folder) {
  const [key, cert, both] = ["key.pem", "cert.pem", "both.pem"].map((name) => join(folder, name));
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  await promisify(execFile)(process.env.OPENSSL ?? "openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, ...subject]);
  await writeFile(both, (await readFile(cert, "utf8")) + (await readFile(key, "utf8")));
  return { key, cert, both };
}

/** Starts a proxy and waits until it takes connections at all its ports. */
async function start(t, program, args, folder, ports) {
  const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (log += text));
  let ended = false;
  child.on("exit", () => ((ended = true), running.delete(child)));
  t.after(async () => {
    if (ended) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  });
  const takes = async (port) => {
    while (!ended) {
      const socket = connect(port, "127.0.0.1");
      const [event] = await Promise.race([once(socket, "connect").then(() => ["connect"]), once(socket, "error").then(() => ["error"])]).catch(() => ["error"]);
      socket.destroy();
      if (event === "connect") return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${program} ended:\n${log}`);
  };
  await within(PATIENCE, Promise.all(ports.map(takes)), () => `${program} does not listen:\n${log}`);
}

/**
 * @typedef {object} Proxy
 * @property {string} http its address
 * @property {string} https
 */

/**
 * @param {string} how `as documented`; `upgrading by HTTP/1.0`, as many have it who forgot \`proxy_http_version\`; or
 *   `by default`, with `proxy_pass` and nothing else
 * @returns {Promise<Proxy>}
 */
export async function startNginx(t, url, how = "as documented") {
  const folder = await newStateDir();
  const { key, cert } = await certificate(folder);
  const [plain, tls] = [await freePort(), await freePort()];
  const location = how === "as documented" ? documented(url) : `
    location / {
      proxy_pass ${url};
      ${how === "by default" ? "" : "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"}
    }`;
  const config = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`);
  await writeFile(
    config,
    `daemon off; pid ${folder}/nginx.pid; error_log stderr; worker_processes 1;
events {}
http {
  access_log off; ${temporary.join(" ")}
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server { listen 127.0.0.1:${plain}; ${location} }
  server { listen 127.0.0.1:${tls} ssl; ssl_certificate ${cert}; ssl_certificate_key ${key}; ${location} }
}
`,
  );
  await start(t, find("nginx", "NGINX"), ["-c", config, "-p", folder, "-e", "stderr"], folder, [plain, tls]);
  return { http: `http://127.0.0.1:${plain}`, https: `https://127.0.0.1:${tls}` };
}

/** What docs/operations.md says. */
function documented(url) {
  return `
    location / {
      proxy_pass ${url};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 60s;
      proxy_buffering off;
    }`;
}

/** @returns {Promise<Proxy>} */
export async function startHaproxy(t, url) {
  const folder = await newStateDir();
  const { both } = await certificate(folder);
  const [plain, tls] = [await freePort(), await freePort()];
  const config = join(folder, "haproxy.cfg");
  await writeFile(
    config,
    `defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend clients
  bind 127.0.0.1:${plain}
  bind 127.0.0.1:${tls} ssl crt ${both}
  option forwardfor
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
  default_backend parlour
backend parlour
  server relay ${new URL(url).host}
`,
  );
  await start(t, find("haproxy", "HAPROXY"), ["-db", "-f", config], folder, [plain, tls]);
  return { http: `http://127.0.0.1:${plain}`, https: `https://127.0.0.1:${tls}` };
}
