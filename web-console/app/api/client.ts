/** The typed client of the REST API: the session's cookie goes along by itself, the CSRF token is added here. */
import createClient, { type Middleware } from 'openapi-fetch';
import { asApiError, errorOfAnswer } from './errors';
import type { components, paths } from './schema';

/** A schema of the OpenAPI document by its name. */
export type Schema<Name extends keyof components['schemas']> = components['schemas'][Name];

const state = { csrfToken: '', generation: 0 };
const READS = new Set(['GET', 'HEAD']);

/** Remembers the token that every change must carry. */
export function rememberCsrfToken(token: string): void {
  state.csrfToken = token;
}

/** The newest generation that an answer has named since the console was opened; 0 where none has. */
export function newestGeneration(): number {
  return state.generation;
}

const headers: Middleware = {
  onRequest({ request }) {
    if (!READS.has(request.method)) request.headers.set('X-CSRF-Token', state.csrfToken);
    return request;
  },
  onResponse({ response }) {
    state.generation = Math.max(state.generation, Number(response.headers.get('Iotmq-Generation') ?? 0));
    return response;
  },
};

export const api = createClient<paths>({ baseUrl: '' });
api.use(headers);

type Answer = { data?: unknown; error?: unknown; response: Response };
/** What a request answers when it succeeds. */
type DataOf<A extends Answer> = Exclude<A['data'], undefined>;

/** A successful answer's body, with what its headers say about the nodes. */
export type Applied<Data> = {
  data: Data;
  /** The generation that carries the change. */
  generation: number | null;
  /** `3/3`: on how many of the reachable nodes it is; only where the request waited. */
  applied: string | null;
};

/** The body of a request's answer; throws an `ApiError` for every other outcome. */
export async function call<A extends Answer>(request: Promise<A>): Promise<DataOf<A>> {
  return (await callApplied(request)).data;
}

/** Like `call`, with the headers of a write. */
export async function callApplied<A extends Answer>(request: Promise<A>): Promise<Applied<DataOf<A>>> {
  const answer = await request.catch((thrown: unknown) => {
    throw asApiError(thrown);
  });
  if (!answer.response.ok) throw errorOfAnswer(answer.response, answer.error);
  const generation = answer.response.headers.get('Iotmq-Generation');
  return {
    data: answer.data as DataOf<A>,
    generation: generation === null ? null : Number(generation),
    applied: answer.response.headers.get('Iotmq-Applied'),
  };
}

/** The header that holds a write's answer until the reachable nodes have it. */
export const WAIT = { header: { Prefer: 'wait=2' } } as const;
