// Write libraries.min.js: libraries.mjs with what it imports, headed by the license of each package in it.
import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const { metafile, outputFiles } = await build({
  entryPoints: ["libraries.mjs"],
  bundle: true,
  format: "iife",
  globalName: "libraries",
  legalComments: "none",
  metafile: true,
  minify: true,
  target: "es2022",
  write: false,
});
const [output] = Object.values(metafile.outputs);
const used = Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput);
const folders = new Set(used.flatMap(([path]) => path.match(/^node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []));
const byLicense = {};
for (const folder of [...folders].sort()) {
  const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`));
  const license = readFileSync(`${folder}/LICENSE`, "utf8").trim();
  (byLicense[license] ??= []).push(`${name} ${version}`);
}
const licenses = Object.entries(byLicense).map(([license, names]) => `${names.join(", ")}\n\n${license}`);
writeFileSync("libraries.min.js", `/*\n${licenses.join("\n\n")}\n*/\n${outputFiles[0].text}`);
