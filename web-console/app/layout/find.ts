/** What a few letters may mean: a page, an instance, a topic, the messages of a client, a message. */
export type Place = { kind: 'pages' | 'instances' | 'topics' | 'messages'; label: string; path: string };

export type Known = {
  instanceId: string | null;
  /** Pages by their names in the language that is shown. */
  pages: { label: string; path: string }[];
  instances: { id: string; name: string }[];
  topics: string[];
  words: { below: (topic: string) => string; ofClient: (client: string) => string; byId: (id: string) => string };
};

const EACH_MAX = 6;
/** A message's id, as far as it has been typed. */
const MESSAGE_ID = /^m-[0-9a-v]{4,20}$/;

export function find(typed: string, { instanceId, pages, instances, topics, words }: Known): Place[] {
  const text = typed.trim();
  const fits = (name: string) => name.toLowerCase().includes(text.toLowerCase());
  const query = (name: string, value: string) =>
    `/instances/${instanceId ?? ''}/messages?${name}=${encodeURIComponent(value)}`;
  const places: Place[] = [
    ...pages.filter(({ label }) => fits(label)).slice(0, text === '' ? pages.length : EACH_MAX)
      .map(({ label, path }) => ({ kind: 'pages' as const, label, path })),
    ...instances.filter(({ name }) => fits(name)).slice(0, EACH_MAX)
      .map(({ id, name }) => ({ kind: 'instances' as const, label: name, path: `/instances/${id}/overview` })),
  ];
  if (instanceId === null || text === '') return places;
  const level = text.split('/')[0] ?? '';
  return [
    ...places,
    ...topics.filter((topic) => topic.startsWith(level)).slice(0, EACH_MAX).map((topic) => {
      const filter = text.startsWith(`${topic}/`) ? text : `${topic}/#`;
      return { kind: 'topics' as const, label: words.below(filter), path: query('filter', filter) };
    }),
    MESSAGE_ID.test(text)
      ? { kind: 'messages', label: words.byId(text), path: query('id', text) }
      : { kind: 'messages', label: words.ofClient(text), path: query('client', text) },
  ];
}
