import { expect, it } from 'vitest';
import { find, type Known } from './find';

const known: Known = {
  instanceId: 'i1',
  pages: [{ label: 'Overview', path: '/instances/i1/overview' }, { label: 'Topics', path: '/instances/i1/topics' }],
  instances: [{ id: 'i1', name: 'cars' }, { id: 'i2', name: 'homes' }],
  topics: ['vehicle', 'home'],
  words: { below: (topic) => `below ${topic}`, ofClient: (client) => `client ${client}`, byId: (id) => `message ${id}` },
};
const labels = (typed: string, changed: Partial<Known> = {}) => find(typed, { ...known, ...changed }).map(({ label }) => label);

it.each([
  ['', ['Overview', 'Topics', 'cars', 'homes']],
  ['over', ['Overview', 'client over']],
  ['home', ['homes', 'below home/#', 'client home']],
  ['vehicle/+/up', ['below vehicle/+/up', 'client vehicle/+/up']],
  ['m-0000a7v0', ['message m-0000a7v0']],
])('%s', (typed, found) => expect(labels(typed)).toEqual(found));

it('outside of an instance there are no messages', () => expect(labels('home', { instanceId: null })).toEqual(['homes']));

it('what is typed travels in the address', () => {
  expect(find('a/b#&', known).at(-1)?.path).toBe('/instances/i1/messages?client=a%2Fb%23%26');
});
