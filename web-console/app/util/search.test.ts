import { expect, it } from 'vitest';
import { parseSearch, safeNext, stringifySearch } from './search';

it.each([
  {}, { topic: 'vehicle/+/up/#' }, { client: '123', range: 'now-1h' }, { text: '温度 & more' },
])('%o travels', (search) => expect(parseSearch(stringifySearch(search))).toEqual(search));

it('leaves out what is empty', () => expect(stringifySearch({ a: '', b: undefined, c: null })).toBe(''));

it.each([
  ['/instances/1/overview?range=now-1h', '/instances/1/overview?range=now-1h'],
  ['//elsewhere.example', '/'], ['/\\elsewhere.example', '/'], ['elsewhere', '/'], [undefined, '/'],
])('after signing in %s leads to %s', (next, path) => expect(safeNext(next)).toBe(path));
