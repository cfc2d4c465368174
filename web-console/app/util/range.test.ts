import { expect, it } from 'vitest';
import { momentsOf, parseRange, printRange } from './range';

it.each(['now-15m', 'now-30d', '2026-11-23T01:00:00.000Z~2026-11-23T02:00:00.000Z'])('%s travels', (text) => {
  expect(printRange(parseRange(text, '1h'))).toBe(text);
});

it.each([
  undefined, '', 'now-2h', 'x~y', '2026-11-23T02:00:00.000Z~2026-11-23T01:00:00.000Z',
])('%s means the page\'s own range', (text) => {
  expect(parseRange(text, '6h')).toEqual({ kind: 'live', preset: '6h' });
});

it('follows the clock while live', () => {
  const now = Date.UTC(2026, 0, 1, 1);
  expect(momentsOf({ kind: 'live', preset: '1h' }, now)).toEqual({ from: new Date(Date.UTC(2026, 0, 1)), to: new Date(now) });
});
