/** The formatting functions in the language and zone that are shown. */
import { useMemo } from 'react';
import * as format from '../util/format';
import { usePreferences } from '../util/preferences';

export function useFormat() {
  const { language, utc } = usePreferences();
  return useMemo(() => ({
    language,
    utc,
    number: (value: number, digits?: number) => format.formatNumber(value, language, digits),
    compact: (value: number) => format.formatCompact(value, language),
    list: (words: readonly string[]) => format.formatList(words, language),
    bytes: (value: number) => format.formatBytes(value, language),
    duration: (secs: number) => format.formatDuration(secs, language),
    relative: (from: number, now: number) => format.formatRelative(from, now, language),
    dayTime: (at: Date, now: number) => format.formatDayTime(at, now, utc, language),
    change: (now: number | null, before: number | null) => format.formatChange(now, before, language),
    time: (at: Date | string, style?: format.TimeStyle) => format.formatTime(new Date(at), utc, style),
  }), [language, utc]);
}
