/** What was counted of an instance over time. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { momentsOf, printRange, type Range } from '../util/range';
import { api, call, type Schema } from './client';
import { LIVE_MILLIS } from './queries';

export type Metrics = Schema<'Metrics'>;

/** A live range is asked again every ten seconds; fixed ones are history. */
export const metricsQuery = (instanceId: string, range: Range) => queryOptions({
  queryKey: ['metrics', instanceId, printRange(range)],
  queryFn: () => ask(instanceId, momentsOf(range, Date.now())),
  refetchInterval: range.kind === 'live' ? LIVE_MILLIS : false,
  placeholderData: keepPreviousData,
});

const DAY_MILLIS = 86_400_000;
const YESTERDAY_EVERY_MILLIS = 300_000;

/** The same hours of the day before. */
export const yesterdayQuery = (instanceId: string, range: Range) => queryOptions({
  queryKey: ['metrics', instanceId, printRange(range), 'yesterday'],
  queryFn: () => {
    const { from, to } = momentsOf(range, Date.now() - (range.kind === 'live' ? DAY_MILLIS : 0));
    const back = range.kind === 'live' ? 0 : DAY_MILLIS;
    return ask(instanceId, { from: new Date(from.getTime() - back), to: new Date(to.getTime() - back) });
  },
  refetchInterval: range.kind === 'live' ? YESTERDAY_EVERY_MILLIS : false,
  staleTime: YESTERDAY_EVERY_MILLIS,
});

function ask(instanceId: string, { from, to }: { from: Date; to: Date }): Promise<Metrics> {
  return call(api.GET('/v1/instances/{instance_id}/metrics', {
    params: { path: { instance_id: instanceId }, query: { from: from.toISOString(), to: to.toISOString() } },
  }));
}
