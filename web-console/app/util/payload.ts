/** A message's body for people: text where it is text, else bytes in hexadecimal. */
const HEX_BYTES_MAX = 256;

export function payloadText(payload: Uint8Array): { text: string; kind: 'text' | 'hex' } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload);
    // Control characters other than line breaks and tabs are a sign of something that is not text.
    if (!/[\u0000-\u0008\u000e-\u001f]/.test(text)) return { text, kind: 'text' };
  } catch {
    // Not UTF-8.
  }
  return { text: hex(payload.subarray(0, HEX_BYTES_MAX)), kind: 'hex' };
}

/** `00 ff 10`: pairs of digits, sixteen a line. */
export function hex(bytes: Uint8Array): string {
  const pairs = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  return Array.from({ length: Math.ceil(pairs.length / 16) }, (_, line) =>
    pairs.slice(line * 16, line * 16 + 16).join(' ')).join('\n');
}
