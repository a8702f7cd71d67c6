// A module of the page, for Node.js: bundled as the page's own build bundles it.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./parlour.mjs";

const CLIENT = join(ROOT, "components/web/client");

/** @param {string} path below the page's src/ */
export async function load(path) {
  const inClient = createRequire(join(CLIENT, "package.json"));
  const { rolldown } = await import(pathToFileURL(inClient.resolve("rolldown")).href);
  const bundle = await rolldown({ input: join(CLIENT, "src", path), cwd: CLIENT });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString("base64")}`);
}
