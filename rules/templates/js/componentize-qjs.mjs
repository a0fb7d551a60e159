// Builds rule.js into dist/NAME.wasm: a component that carries QuickJS along and imports nothing.
import { componentize } from "componentize-qjs";
import { spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const { name } = JSON.parse(await readFile(here("package.json"), "utf8"));

// Node.js shows the line of a slip in the syntax; what packs the module may not.
const checked = spawnSync(process.execPath, ["--check", here("rule.js")], { stdio: "inherit" });
if (checked.status !== 0) process.exit(1);

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
