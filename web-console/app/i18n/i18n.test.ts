import { describe, expect, it } from 'vitest';
import en from './en';
import zh from './zh-CN';

const PLURAL = /_(one|other)$/;
type Tree = { [key: string]: string | Tree };

/** `namespace.a.b` to its text. */
function texts(tree: Tree, path: string[] = []): Map<string, string> {
  return new Map(Object.entries(tree).flatMap(([key, value]) =>
    typeof value === 'string'
      ? [[[...path, key].join('.'), value] as const]
      : [...texts(value, [...path, key])]));
}

const languages = { en: texts(en as Tree), 'zh-CN': texts(zh as Tree) };

/** Keys without their plural forms, which differ between languages. */
function keys(of: Map<string, string>): string[] {
  return [...new Set([...of.keys()].map((key) => key.replace(PLURAL, '')))].sort();
}

function placeholders(text: string): string[] {
  return [...text.matchAll(/{{\s*(\w+)/g)].map((found) => found[1] ?? '').sort();
}

describe('the words of both languages', () => {
  it('have exactly the same keys', () => {
    expect(keys(languages['zh-CN'])).toEqual(keys(languages.en));
  });

  it.each(Object.entries(languages))('have every plural form that %s needs', (language, words) => {
    const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    const plurals = new Set([...words.keys()].filter((key) => PLURAL.test(key)).map((key) => key.replace(PLURAL, '')));
    for (const key of plurals) {
      const forms = [...words.keys()].filter((other) => other.replace(PLURAL, '') === key && PLURAL.test(other));
      expect(forms.map((form) => form.slice(key.length + 1)).sort(), key).toEqual([...needed].sort());
    }
  });

  it('fill in the same values', () => {
    for (const [key, text] of languages['zh-CN']) {
      expect(placeholders(text), key).toEqual(placeholders(languages.en.get(key) ?? ''));
    }
  });

  it('have the punctuation of Chinese in Chinese, and a space beside Latin letters and numbers', () => {
    const half = /\p{Script=Han}[,;:()?!]|[,;:()?!]\p{Script=Han}/u;
    const joined = /\p{Script=Han}[A-Za-z0-9]|[A-Za-z0-9]\p{Script=Han}/u;
    for (const [key, text] of languages['zh-CN']) {
      expect(half.test(text), `${key}: ${text}`).toBe(false);
      expect(joined.test(text), `${key}: ${text}`).toBe(false);
    }
  });

  it.each(Object.entries(languages))('are never empty in %s', (_, words) => {
    for (const [key, text] of words) expect(text.trim(), key).not.toBe('');
  });
});
