import { describe, expect, it } from 'vitest';
import { base64, bodyText, bytesOf, formsOf, hexBytes, hexDump, prettyJson, visible } from './body';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('a payload', () => {
  it('comes back as the bytes that were sent', () => {
    expect([...bytesOf({ encoding: 'base64', data: 'AP-_' })]).toEqual([0, 255, 191]);
    expect(bodyText(bytesOf({ encoding: 'utf8', data: '温度 21' }))).toBe('温度 21');
  });

  it.each([
    ['{"a":[1,2]}', ['json', 'text', 'hex']],
    ['21.5', ['text', 'hex']],
    ['', ['text', 'hex']],
    ['\u0000\u0001', ['hex']],
  ] as const)('%j is shown as %j', (text, forms) => {
    expect(formsOf(bytes(text))).toEqual(forms);
  });

  it.each([
    ['00 FF 1a', [0, 255, 26]], ['00ff\n1a', [0, 255, 26]], ['', []], ['0', null], ['0x00', null], ['zz', null],
  ] as const)('typed as %j is %j', (text, typed) => {
    const read = hexBytes(text);
    expect(read === null ? null : [...read]).toEqual(typed);
    if (read !== null) expect(bytesOf({ encoding: 'base64', data: base64(read) })).toEqual(read);
  });

  it('is indented where it is JSON', () => {
    expect(prettyJson(bytes('{"a":1}'))).toBe('{\n  "a": 1\n}');
    expect(prettyJson(Uint8Array.of(0xff))).toBeNull();
  });

  it('shows every byte in hexadecimal', () => {
    expect(hexDump(bytes('MQTT\n'))).toBe('000000  4d 51 54 54 0a                                   MQTT.');
  });

  it('cannot turn the direction of the text around it', () => {
    expect(visible('a\u202eb\tc\n')).toBe('a\\u202eb\tc\n');
  });
});
