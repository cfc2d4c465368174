/** What goes wrong between the console and the API, as one typed error. */
import type { components } from './schema';

export type Problem = components['schemas']['Problem'];
export type ProblemCode = components['schemas']['ProblemCode'];

/** Codes that no answer carries: the server was not reached, or what came back is not its own. */
export type LocalCode = 'unreachable' | 'unexpected_answer';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ProblemCode | LocalCode;
  /** The HTTP status, 0 where there was no answer. */
  readonly status: number;
  readonly detail: string;
  readonly requestId: string | null;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** Seconds to wait, as `Retry-After` says. */
  readonly retryAfterSecs: number | null;
  /** The problem as it was answered, for the members that only some codes have. */
  readonly problem: Problem | null;

  constructor(from: {
    code: ProblemCode | LocalCode;
    status: number;
    detail: string;
    requestId?: string | null;
    retryable?: boolean;
    retryAfterSecs?: number | null;
    problem?: Problem | null;
  }) {
    super(from.detail || from.code);
    this.code = from.code;
    this.status = from.status;
    this.detail = from.detail;
    this.requestId = from.requestId ?? null;
    this.retryable = from.retryable ?? false;
    this.retryAfterSecs = from.retryAfterSecs ?? null;
    this.problem = from.problem ?? null;
  }

  /** The bad values of the body by JSON pointer. */
  fieldErrors(): { pointer: string; detail: string }[] {
    return (this.problem?.errors ?? []).map(({ pointer, detail }) => ({ pointer, detail }));
  }
}

/** What a proxy answers by itself where it does not reach the server. */
const GATEWAY_STATUSES = [502, 503, 504];

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'code' in body && 'request_id' in body;
}

/** The error of an answer that is not a success. */
export function errorOfAnswer(response: Response, body: unknown): ApiError {
  const requestId = response.headers.get('Request-Id');
  const wait = Number(response.headers.get('Retry-After') ?? Number.NaN);
  const retryAfterSecs = Number.isFinite(wait) ? wait : null;
  if (isProblem(body)) {
    const { code, status, detail, retryable } = body;
    return new ApiError({
      code, status, detail, retryable, retryAfterSecs, requestId: body.request_id, problem: body,
    });
  }
  const detail = `HTTP ${response.status}`;
  const code = GATEWAY_STATUSES.includes(response.status) ? 'unreachable' : 'unexpected_answer';
  return new ApiError({
    code, status: response.status, detail, requestId, retryAfterSecs,
    retryable: response.status >= 500,
  });
}

/** Whatever was thrown, as an `ApiError`. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  // `fetch` throws a TypeError where there was no answer at all.
  const code = thrown instanceof TypeError ? 'unreachable' : 'unexpected_answer';
  return new ApiError({ code, status: 0, detail, retryable: code === 'unreachable' });
}

/** `/grants/0/topic_filter` as the path of a form's field: `['grants', 0, 'topic_filter']`. */
export function fieldPath(pointer: string): (string | number)[] {
  return pointer.split('/').slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
