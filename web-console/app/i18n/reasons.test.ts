import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import words from './en/reasons.json';

/** The names that a table of the data plane gives in quotes after `=` or `=>`. */
function names(file: string, from: string, to: string): string[] {
  const text = readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8');
  const table = text.slice(text.indexOf(from), text.indexOf(to, text.indexOf(from)));
  return [...table.matchAll(/=>? "([a-z_]+)"/g)].map((found) => found[1] ?? '').sort();
}

describe('every reason of the broker has words', () => {
  it('for refusals, with a way to mend it', () => {
    const refusals = names('control-plane/contract/src/refusal.rs', '\nrefusals! {', '\n}');
    expect(refusals.length).toBeGreaterThan(40);
    expect(Object.keys(words.refused).sort()).toEqual(refusals);
    expect(Object.keys(words.fix).sort()).toEqual(refusals);
  });

  it('for drops', () => {
    const drops = names('data-plane/broker/src/metrics.rs', 'impl DropReason', '\n}');
    expect(drops.length).toBeGreaterThan(3);
    expect(Object.keys(words.dropped).sort()).toEqual(drops);
  });
});
