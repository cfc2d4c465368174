import { describe, expect, it } from 'vitest';
import { parseLabels, printLabels } from './labels';

describe('labels', () => {
  it('are read as they are written', () => {
    const labels = { fleet: 'a', site: 'north=1' };
    expect(parseLabels(printLabels(labels))).toEqual(labels);
    expect(parseLabels('')).toEqual({});
    expect(parseLabels(' fleet = a ,')).toEqual({ fleet: 'a' });
  });

  it.each(['fleet', '=a', 'fleet=a,site'])('%j is none', (text) => {
    expect(parseLabels(text)).toBeNull();
  });
});
