import { describe, expect, it } from 'vitest';
import {
  formatBytes, formatChange, formatCompact, formatDayTime, formatDuration, formatList, formatRelative, formatTime,
} from './format';

describe('sizes', () => {
  it.each([
    [0, '0 B'], [48, '48 B'], [1023, '1,023 B'], [1024, '1 KiB'], [1536, '1.5 KiB'],
    [262_144, '256 KiB'], [1_073_741_824, '1 GiB'], [2 ** 50, '1,024 TiB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes, 'en')).toBe(text));
});

it.each([
  [['publish'], 'en', 'publish'], [['publish', 'subscribe'], 'en', 'publish and subscribe'],
  [['发布', '订阅'], 'zh-CN', '发布和订阅'],
] as const)('%o in %s are %s', (words, language, text) => expect(formatList(words, language)).toBe(text));

describe('numbers in little room', () => {
  it.each([
    [0, 'en', '0'], [0.25, 'en', '0.3'], [9999, 'en', '9,999'], [12_345, 'en', '12.3K'], [12_345, 'zh-CN', '1.2万'],
  ] as const)('%d in %s is %s', (value, language, text) => expect(formatCompact(value, language)).toBe(text));
});

describe('durations', () => {
  it.each([
    [0, '0 seconds'], [59, '59 seconds'], [60, '1 minute'], [90, '1 minute 30 seconds'],
    [3_600, '1 hour'], [3_601, '1 hour'], [183_600, '2 days 3 hours'],
  ])('%d s are %s', (secs, text) => expect(formatDuration(secs, 'en')).toBe(text));
  it('have spaces between numbers and units in Chinese', () =>
    expect(formatDuration(90, 'zh-CN')).toBe('1 分钟 30 秒钟'));
});

describe('relative times', () => {
  const now = Date.UTC(2026, 0, 1);
  it.each([
    [-5 * 60_000, '5 minutes ago'], [2 * 3_600_000, 'in 2 hours'], [-86_400_000, 'yesterday'], [0, 'now'],
  ])('%d ms from now is %s', (offset, text) => expect(formatRelative(now + offset, now, 'en')).toBe(text));
});

describe('times by their day', () => {
  const now = Date.UTC(2026, 10, 23, 1);
  it.each([
    ['2026-11-23T00:02:03.456Z', 'en', 'today 00:02:03'], ['2026-11-22T23:02:03Z', 'en', 'yesterday 23:02:03'],
    ['2026-11-20T01:02:03Z', 'zh-CN', '3 天前 01:02:03'], ['2026-11-01T01:02:03Z', 'en', '2026-11-01 01:02:03'],
  ] as const)('%s in %s is %s', (at, language, text) =>
    expect(formatDayTime(new Date(at), now, true, language)).toBe(text));
});

describe('changes', () => {
  it.each([
    [110, 100, '+10%'], [102, 100, '+2%'], [50, 100, '-50%'], [100, 100, '0%'],
    [1, 0, null], [null, 1, null], [1, null, null],
  ])('from %s to %s', (now, before, text) => expect(formatChange(now, before, 'en')).toBe(text));
});

describe('times', () => {
  const at = new Date('2026-11-23T01:02:03.456Z');
  it.each([
    ['full', '2026-11-23 01:02:03 UTC'], ['millis', '2026-11-23 01:02:03.456 UTC'],
    ['minute', '2026-11-23 01:02 UTC'], ['clock', '01:02:03'],
  ] as const)('%s in UTC', (style, text) => expect(formatTime(at, true, style)).toBe(text));
});
