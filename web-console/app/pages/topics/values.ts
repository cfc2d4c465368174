/** Between a topic of the API and the values of its form. */
import type { Schema } from '../../api/client';
import type { OwnDurability } from '../../ui/durability';

type Topic = Schema<'Topic'>;

const KIB = 1024;
const MIB = 1024 * KIB;
const DAY = 86_400;

/** What is offered as retention, in seconds. */
export const RETENTIONS = [3_600, DAY, 3 * DAY, 7 * DAY, 30 * DAY];

export type TopicValues = {
  name: string;
  description: string;
  history: boolean;
  retention_secs: number;
  /** Empty: without a bound. */
  retention_mib: number | null;
  durability: OwnDurability;
  /** Empty: as the plan allows. */
  payload_kib: number | null;
};

const scaled = (bytes: number | null | undefined, unit: number) => (bytes == null ? null : bytes / unit);
const bytesOf = (value: number | null | undefined, unit: number) => (value == null ? null : Math.round(value * unit));

export function valuesOf(topic: Topic | null): TopicValues {
  return {
    name: topic?.name ?? '',
    description: topic?.description ?? '',
    history: topic?.history.enabled ?? false,
    retention_secs: topic?.history.retention_secs ?? 3 * DAY,
    retention_mib: scaled(topic?.history.retention_bytes, MIB),
    durability: topic?.durability ?? 'instance',
    payload_kib: scaled(topic?.payload_bytes_max, KIB),
  };
}

export function bodyOf(values: TopicValues) {
  const { description = '', history, retention_secs, retention_mib, durability, payload_kib } = values;
  return {
    description,
    history: history
      ? { enabled: true, retention_secs, retention_bytes: bytesOf(retention_mib, MIB) }
      : { enabled: false },
    durability: durability === 'instance' ? null : durability,
    payload_bytes_max: bytesOf(payload_kib, KIB),
  };
}
