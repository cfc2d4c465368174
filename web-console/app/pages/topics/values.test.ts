import { describe, expect, it } from 'vitest';
import { bodyOf, valuesOf } from './values';

const AT = '2026-11-23T08:00:00.000Z';

describe('the form of a topic', () => {
  it('gives back what the API said', () => {
    const history = { enabled: true, retention_secs: 5_000, retention_bytes: 3 * 1024 * 1024, enabled_since: AT };
    const topic = {
      name: 'line', description: 'presses', history, durability: 'always' as const, payload_bytes_max: 65_536, labels: {}, created_at: AT,
      updated_at: AT, revision: 2,
    };
    expect(bodyOf(valuesOf(topic))).toEqual({
      description: 'presses',
      history: { enabled: true, retention_secs: 5_000, retention_bytes: 3 * 1024 * 1024 },
      durability: 'always',
      payload_bytes_max: 65_536,
    });
  });

  it('takes bounds away where the fields are empty, and says nothing of retention while history is off', () => {
    expect(bodyOf(valuesOf(null))).toEqual({
      description: '', history: { enabled: false }, durability: null, payload_bytes_max: null,
    });
  });
});
