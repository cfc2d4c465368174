/** Numbers, sizes and durations for people, by language. */
import type { Language } from './preferences';

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function formatNumber(value: number, language: Language, digits = 0): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** Words one after the other: `publish and subscribe`, `发布和订阅`. */
export function formatList(words: readonly string[], language: Language): string {
  return new Intl.ListFormat(language, { type: 'conjunction' }).format(words);
}

/** A number in little room: `1.2K`, `3.4万`. Whole below ten thousand. */
export function formatCompact(value: number, language: Language): string {
  if (Math.abs(value) < 10_000) {
    return formatNumber(value, language, Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0);
  }
  return new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 }).format(value);
}

/** A size with the unit that leaves one to four digits: `48 B`, `1.5 MiB`. */
export function formatBytes(bytes: number, language: Language): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${formatNumber(value, language, unit === 0 || value >= 100 ? 0 : 1)} ${BYTE_UNITS[unit]}`;
}

const SPANS = [['day', 86_400], ['hour', 3_600], ['minute', 60], ['second', 1]] as const;

/** Chinese as this console writes it: a space between numbers and words. */
function spaced(text: string, language: Language): string {
  return language === 'zh-CN' ? text.replaceAll(/(\d)(\p{Script=Han})/gu, '$1 $2') : text;
}

/** A duration by its two largest units: `2 days 3 hours`. */
export function formatDuration(secs: number, language: Language): string {
  let left = Math.max(0, Math.round(secs));
  const parts: string[] = [];
  for (const [unit, size] of SPANS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 || (unit === 'second' && parts.length === 0)) {
      parts.push(new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(count));
    } else if (parts.length > 0) {
      break;
    }
    if (parts.length === 2) break;
  }
  return spaced(parts.join(' '), language);
}

/** How long ago or ahead: `5 minutes ago`, `in 2 hours`. */
export function formatRelative(from: number, now: number, language: Language): string {
  const secs = (from - now) / 1000;
  const [unit, size] = SPANS.find(([, length]) => Math.abs(secs) >= length) ?? ['second', 1] as const;
  return spaced(relativeWords(language).format(Math.trunc(secs / size), unit), language);
}

const relativeWords = (language: Language) => new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
const DAY_MILLIS = 86_400_000;
/** Older days are named by their date. */
const RELATIVE_DAYS_MAX = 6;

/** A moment in little room, by its day: `today 09:05:07`, `2 days ago 09:05:07`, `2026-11-01 09:05:07`. */
export function formatDayTime(at: Date, now: number, utc: boolean, language: Language): string {
  const local = (moment: Date) => moment.getTime() - (utc ? 0 : moment.getTimezoneOffset() * 60_000);
  const day = (moment: Date) => Math.floor(local(moment) / DAY_MILLIS);
  const days = day(at) - day(new Date(now));
  const text = new Date(local(at)).toISOString();
  const words = Math.abs(days) <= RELATIVE_DAYS_MAX
    ? spaced(relativeWords(language).format(days, 'day'), language) : text.slice(0, 10);
  return `${words} ${text.slice(11, 19)}`;
}

/** A change against an earlier value: `+12 %`; null where there is nothing to compare with. */
export function formatChange(now: number | null, before: number | null, language: Language): string | null {
  if (now === null || before === null || before === 0) return null;
  const change = (now - before) / before;
  return new Intl.NumberFormat(language, {
    style: 'percent', signDisplay: 'exceptZero', maximumFractionDigits: Math.abs(change) < 0.1 ? 1 : 0,
  }).format(change);
}

export type TimeStyle = 'full' | 'millis' | 'minute' | 'clock';

/** A moment with its offset where there is room: `2026-11-23 09:05:07 +08:00`. The same order in every language. */
export function formatTime(at: Date, utc: boolean, style: TimeStyle = 'full'): string {
  const offset = utc ? 0 : -at.getTimezoneOffset();
  const shifted = new Date(at.getTime() + offset * 60_000).toISOString();
  const clock = shifted.slice(11, style === 'millis' ? 23 : style === 'minute' ? 16 : 19);
  if (style === 'clock') return clock;
  return `${shifted.slice(0, 10)} ${clock} ${formatOffset(offset)}`;
}

function formatOffset(minutes: number): string {
  if (minutes === 0) return 'UTC';
  const size = Math.abs(minutes);
  const two = (part: number) => String(Math.floor(part)).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`;
}
