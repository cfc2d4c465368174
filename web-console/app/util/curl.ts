/** A request of the API as a line for the terminal. */
import { quoted } from './shell';

export type Call = { method: string; path: string; body?: unknown };

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
