// Builds rule.js into dist/NAME.wasm: a component that carries QuickJS along and imports nothing.
import { componentize } from "componentize-qjs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const { name } = JSON.parse(await readFile(here("package.json"), "utf8"));

const { component } = await componentize({
  jsSource: await readFile(here("rule.js"), "utf8"),
  jsPath: here("rule.js"),
  moduleRoot: here("."),
  witPath: here("wit"),
  world: "rule-module",
  // A module imports nothing: what the engine would ask of an operating system traps instead.
  stubWasi: true,
  sync: true,
  optSize: true,
});
await mkdir(here("dist"), { recursive: true });
await writeFile(here(`dist/${name}.wasm`), component);
