// Builds the page into dist/, with Socket.IO's own client bundles beside it and compressed twins of
// what is worth compressing. The component `web` serves dist/ as it is.

import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Where parlour runs while `npm run dev` serves the page. */
const SERVER = process.env.PARLOUR ?? "http://127.0.0.1:3000";

/** The bundles that Socket.IO's server serves, each with its source map. */
const BUNDLES = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"];

/** Smaller files are not worth a header, bytes. */
const MIN_COMPRESSED = 1024;

function socketIoBundles(): Plugin {
  return {
    name: "socket-io-bundles",
    apply: "build",
    async generateBundle() {
      for (const name of BUNDLES.flatMap((bundle) => [bundle, `${bundle}.map`])) {
        const source = await readFile(join("node_modules/socket.io-client/dist", name));
        this.emitFile({ type: "asset", fileName: `socket.io/${name}`, source });
      }
    },
  };
}

function compressedTwins(): Plugin {
  return {
    name: "compressed-twins",
    apply: "build",
    async writeBundle({ dir = "dist" }) {
      for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
        const file = join(entry.parentPath, entry.name);
        if (!entry.isFile() || !/\.(html|css|js|map|svg|webmanifest)$/.test(file)) continue;
        const source = await readFile(file);
        if (source.length < MIN_COMPRESSED) continue;
        const params = { [constants.BROTLI_PARAM_SIZE_HINT]: source.length };
        await writeFile(`${file}.br`, brotliCompressSync(source, { params }));
        await writeFile(`${file}.gz`, gzipSync(source, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [socketIoBundles(), compressedTwins()],
  build: { target: "es2022", modulePreload: false, assetsInlineLimit: 0 },
  server: { proxy: { "/socket.io": { target: SERVER, ws: true } } },
});
