import { readFileSync } from 'node:fs';
import openapi, { astToString } from 'openapi-typescript';
import { describe, expect, it } from 'vitest';

/** A second where the machine has nothing else to do. */
const GENERATING_MILLIS = 60_000;

describe('the types of the API', () => {
  it('are those of the OpenAPI document; `npm run generate` makes them anew', async () => {
    const document = new URL('../../../openapi/control-plane.v1.json', import.meta.url);
    const generated = astToString(await openapi(document));
    const kept = readFileSync(new URL('./schema.d.ts', import.meta.url), 'utf8');
    // Above the types stands only the generator's greeting. Compared as a truth: a difference would fill the screen.
    expect(kept.endsWith(generated)).toBe(true);
  }, GENERATING_MILLIS);
});
