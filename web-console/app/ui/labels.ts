/** Labels as one line of text: `fleet=a, site=north`. */
export type Labels = Record<string, string>;

export function printLabels(labels: Labels): string {
  return Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(', ');
}

/** The labels of a line; null where a part is no `name=value`. */
export function parseLabels(text: string): Labels | null {
  const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  const pairs = parts.map((part) => {
    const at = part.indexOf('=');
    return at > 0 ? [part.slice(0, at).trim(), part.slice(at + 1).trim()] as const : null;
  });
  return pairs.includes(null) ? null : Object.fromEntries(pairs as [string, string][]);
}
