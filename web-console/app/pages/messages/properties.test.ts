import { describe, expect, it } from 'vitest';
import { propertiesOf } from './properties';

describe('properties that are typed', () => {
  it('are nothing where nothing was typed', () => {
    expect(propertiesOf(undefined)).toBeUndefined();
    expect(propertiesOf({})).toBeUndefined();
    expect(propertiesOf({ content_type: ' ', response_topic: '', user_properties: [undefined, {}, { name: '', value: '' }] }))
      .toBeUndefined();
  });

  it('keep the order of pairs, and names that repeat', () => {
    const user_properties = [{ name: 'b', value: '1' }, undefined, { name: 'a' }, { name: 'b', value: '0' }];
    expect(propertiesOf({ user_properties })).toEqual({
      user_properties: [{ name: 'b', value: '1' }, { name: 'a', value: '' }, { name: 'b', value: '0' }],
    });
  });

  it('write correlation data as Base64 of its UTF-8 bytes', () => {
    expect(propertiesOf({ payload_format: 'text', content_type: ' text/plain ', correlation_data: '车' })).toEqual({
      payload_format: 'text', content_type: 'text/plain', correlation_data: '6L2m',
    });
  });
});
