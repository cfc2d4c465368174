import { expect, it } from 'vitest';
import { hex, payloadText } from './payload';

const bytes = (text: string) => new TextEncoder().encode(text);

it.each([
  [bytes('{"t":21.5}'), { text: '{"t":21.5}', kind: 'text' }],
  [bytes('温度\n21'), { text: '温度\n21', kind: 'text' }],
  [new Uint8Array(), { text: '', kind: 'text' }],
  [new Uint8Array([0xff, 0x00]), { text: 'ff 00', kind: 'hex' }],
  [new Uint8Array([1, 2, 3]), { text: '01 02 03', kind: 'hex' }],
])('%o', (payload, shown) => expect(payloadText(payload)).toEqual(shown));

it('breaks hexadecimal lines after sixteen bytes', () => {
  expect(hex(new Uint8Array(17)).split('\n').map((line) => line.length)).toEqual([47, 2]);
});
