/** When a query is asked again: what may succeed later, twice; what was refused, never. */
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { asApiError } from './errors';

const RETRIES = 2;

/** Called where an answer says that nobody is signed in. */
let onSignedOut = (): void => undefined;

export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

function watch(thrown: unknown): void {
  if (asApiError(thrown).code === 'not_signed_in') onSignedOut();
}

export const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: watch }),
  mutationCache: new MutationCache({ onError: watch }),
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, thrown) => count < RETRIES && asApiError(thrown).retryable,
      // A node or the server being away is not the browser being offline: ask anyway.
      networkMode: 'always',
      refetchOnWindowFocus: true,
    },
    mutations: { networkMode: 'always' },
  },
});
