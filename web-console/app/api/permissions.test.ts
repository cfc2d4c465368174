import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allows, MATRIX, type Standing } from './permissions';

const STANDINGS: Standing[] = ['operator', 'owner', 'admin', 'developer', 'viewer'];

/** The matrix as the service's own test has it. */
function service(): Record<string, Standing[]> {
  const file = new URL('../../../control-plane/service/src/access.rs', import.meta.url);
  const rows = readFileSync(file, 'utf8').matchAll(/^([a-z_:]+) +((?:[x.] ){4}[x.])$/gm);
  return Object.fromEntries([...rows].map(([, name, marks]) =>
    [name ?? '', STANDINGS.filter((_, at) => (marks ?? '').split(' ')[at] === 'x')]));
}

it('is the service\'s', () => {
  const expected = service();
  expect(Object.keys(expected).length).toBeGreaterThan(10);
  expect(MATRIX).toEqual(expected);
});

it('adds up: a developer who runs the platform may do what either may', () => {
  expect(allows(['developer', 'operator'], 'messages:read_payload')).toBe(true);
  expect(allows(['developer', 'operator'], 'instances:write')).toBe(true);
  expect(allows([], 'read')).toBe(false);
});
