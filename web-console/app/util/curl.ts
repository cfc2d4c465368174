/** A request of the API as a line for the terminal. */
export type Call = { method: string; path: string; body?: unknown };

/** A word of a POSIX shell, quoted where it must be. */
function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

export function curl({ method, path, body }: Call, origin: string): string {
  const lines = [
    `curl${method === 'GET' ? '' : ` -X ${method}`} ${quoted(origin + path)}`,
    '  -H "Authorization: Bearer $IOTMQ_TOKEN"',
  ];
  if (body !== undefined) {
    lines.push("  -H 'Content-Type: application/json'", `  -d ${quoted(JSON.stringify(body))}`);
  }
  return lines.join(' \\\n');
}
