/** A stored payload as people read it. */
import type { Schema } from '../../api/client';
import { hex, payloadText } from '../../util/payload';

export type Payload = Schema<'Payload'>;
export type Form = 'text' | 'json' | 'hex';

/** The bytes that the API wrote as text. */
export function bytesOf({ encoding, data }: Pick<Payload, 'encoding' | 'data'>): Uint8Array {
  if (encoding === 'utf8') return new TextEncoder().encode(data);
  const text = atob(data.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Bytes as people type them: pairs of hexadecimal digits, spaces and line breaks between them as they like. */
export function hexBytes(text: string): Uint8Array | null {
  const digits = text.replaceAll(/\s+/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Bytes as the API takes them. */
export function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

/** Text where the bytes are text, else hexadecimal on one line. */
export function bodyText(bytes: Uint8Array): string {
  const { text, kind } = payloadText(bytes);
  return kind === 'text' ? text : text.replaceAll('\n', ' ');
}

/** The payload indented, where it is JSON: an object or a list. */
export function prettyJson(bytes: Uint8Array): string | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : null;
  } catch {
    return null;
  }
}

/** The forms in which these bytes can be shown, the most readable first. */
export function formsOf(bytes: Uint8Array): Form[] {
  const forms: Form[] = [];
  if (prettyJson(bytes) !== null) forms.push('json');
  if (payloadText(bytes).kind === 'text') forms.push('text');
  return [...forms, 'hex'];
}

/** Control and direction characters made visible: a payload must not redraw the page around it. */
export function visible(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The bytes with their offsets and, beside them, the letters among them. */
export function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16);
    const letters = [...line].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex(line).padEnd(47)}  ${letters}`);
  }
  return lines.join('\n');
}
