// Other names for platform properties: a policy in JavaScript, for sites whose clients do not agree on words.
//
// Clients write `os`, `Arch` or `arch`; bots say `OSFamily` and `ISA`. The configuration says which name means which,
// and which are dropped because they say nothing of a bot. What is left is required as it stands. Two values of one
// name contradict each other, and are refused.

import { get } from 'berth:policy/config@1.0.0';

// Written by build.mjs from config.schema.json and cases.toml: a component has no files.
import { schema, cases } from './texts.js';

let settings;

// The operator's table stays the same for as long as the instance lives.
function ownSettings() {
  if (settings === undefined) {
    const { names = {}, dropped = [], label = 'OSFamily' } = JSON.parse(get());
    settings = { names: new Map(Object.entries(names)), dropped: new Set(dropped), label };
  }
  return settings;
}

function renamed(sent) {
  const { names, dropped } = ownSettings();
  const values = new Map();
  for (const { name, value } of sent) {
    if (dropped.has(name)) continue;
    const known = names.get(name) ?? name;
    if (values.has(known) && values.get(known) !== value) {
      // What is thrown is the refusal.
      throw { tag: 'duplicate-property', val: known };
    }
    values.set(known, value);
  }
  return [...values].map(([name, value]) => ({ name, value }));
}

// One word for metrics and limits: what is no word is not said.
function labelOf(properties) {
  const { label } = ownSettings();
  const value = properties.find(({ name }) => name === label)?.value ?? '';
  return /^[\w.-]{1,64}$/.test(value) ? value : 'unknown';
}

export const properties = {
  executionProperties({ platform }) {
    const requirements = renamed(platform);
    return { label: labelOf(requirements), requirements, preferred: undefined };
  },

  workerProperties({ properties: said }) {
    const capabilities = renamed(said);
    return { labels: [labelOf(capabilities)], capabilities: [capabilities], score: 0 };
  },
};

export const about = {
  configSchema: () => schema,
  examples: () => cases,
};
