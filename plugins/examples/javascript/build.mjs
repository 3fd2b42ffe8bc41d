// Builds the policy into a component: node build.mjs FOLDER-OF-WIT OUT.wasm
//
// The folder of WIT has `world.wit` and, below `deps`, the contract. `texts.js` is written beside this file.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { componentize } from '@bytecodealliance/componentize-js';

const [witPath, out] = process.argv.slice(2);
const beside = (name) => join(import.meta.dirname, name);

// A component has no files.
const text = async (name) => JSON.stringify(await readFile(beside(name), 'utf8'));
const [schema, cases] = [await text('config.schema.json'), await text('cases.toml')];
await writeFile(beside('texts.js'), `export const schema = ${schema};\nexport const cases = ${cases};\n`);

const { component } = await componentize({
  sourcePath: beside('policy.js'),
  witPath,
  worldName: 'policy',
  // No WASI: the engine gets stubs, and the component imports nothing that Berth does not offer.
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile(out, component);
