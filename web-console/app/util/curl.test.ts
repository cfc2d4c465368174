import { expect, it } from 'vitest';
import { curl } from './curl';

const origin = 'https://mq.example.com';

it('reads with nothing but the address and the token', () => {
  expect(curl({ method: 'GET', path: '/v1/me' }, origin)).toBe(
    'curl https://mq.example.com/v1/me \\\n  -H "Authorization: Bearer $IOTMQ_TOKEN"',
  );
});

it('quotes what a shell would take for its own', () => {
  const line = curl({ method: 'POST', path: '/v1/x?a=b&c=d', body: { name: "it's" } }, origin);
  expect(line).toContain("'https://mq.example.com/v1/x?a=b&c=d'");
  expect(line).toContain(String.raw`-d '{"name":"it'\''s"}'`);
});
