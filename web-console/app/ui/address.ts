/** State that the address holds, so that a page can be shared, reloaded and gone back to. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback, useMemo } from 'react';
import { type Preset, type Range, parseRange, printRange } from '../util/range';

/** Every parameter of the address as text; `undefined` takes one away. */
export type AddressState = Record<string, string | undefined>;

export function useAddress(): [AddressState, (change: AddressState) => void] {
  const search = useSearch({ strict: false }) as AddressState;
  const navigate = useNavigate();
  const change = useCallback((changed: AddressState) => {
    void navigate({
      to: '.', replace: true, search: ((before: AddressState) => ({ ...before, ...changed })) as never,
    });
  }, [navigate]);
  return [search, change];
}

/** The page's time range in the address's `range`. */
export function useRange(otherwise: Preset): [Range, (range: Range) => void] {
  const [{ range: text }, change] = useAddress();
  const range = useMemo(() => parseRange(text, otherwise), [text, otherwise]);
  return [range, useCallback((next: Range) => change({ range: printRange(next) }), [change])];
}
