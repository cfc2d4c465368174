import { describe, expect, it } from 'vitest';
import { type Connection, PROGRAMS, snippet } from './snippets';

const connection: Connection = {
  host: 'mq.example.com', port: 1883, tls: false, clientId: 'demo-1', username: 'demo-1@cars', password: 'eyJ.a-b_c.d',
  topic: 'demo/hello',
};

describe.each(PROGRAMS)('%s', (program) => {
  it('has everything filled in', () => {
    const { code } = snippet(program, connection);
    for (const value of ['mq.example.com', '1883', 'demo-1', 'demo-1@cars', 'eyJ.a-b_c.d', 'demo/hello']) {
      expect(code).toContain(value);
    }
    expect(code).not.toContain('undefined');
  });

  it('says so where TLS is spoken', () => {
    expect(snippet(program, { ...connection, tls: true }).code).not.toBe(snippet(program, connection).code);
  });
});

it('no topic breaks out of the shell', () => {
  expect(snippet('mosquitto', { ...connection, topic: "it's/x" }).code).toContain(String.raw`'it'\''s/x'`);
});
