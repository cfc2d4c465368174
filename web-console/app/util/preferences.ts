/** What a person prefers, kept in the browser: language, theme, time zone, the instance last looked at. */
import { useSyncExternalStore } from 'react';

export type Language = 'en' | 'zh-CN';
export type ThemeChoice = 'system' | 'light' | 'dark';
export type Preferences = {
  language: Language;
  theme: ThemeChoice;
  /** Times in UTC instead of the browser's zone. */
  utc: boolean;
  instanceId: string | null;
};

const KEY = 'iotmq.preferences';

/** The language of a browser that has not chosen one here. */
export function languageOf(accepted: readonly string[]): Language {
  const first = accepted.find((tag) => /^(zh|en)\b/i.test(tag));
  return first?.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
}

function load(): Preferences {
  const start: Preferences = {
    language: languageOf(typeof navigator === 'undefined' ? [] : navigator.languages),
    theme: 'system',
    utc: false,
    instanceId: null,
  };
  try {
    return { ...start, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Preferences>) };
  } catch {
    return start;
  }
}

let current = load();
const listeners = new Set<() => void>();

export function preferences(): Preferences {
  return current;
}

export function prefer(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // A browser that keeps nothing still works; it only forgets.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, preferences);
}
