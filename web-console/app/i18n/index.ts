/** Languages: each is loaded when it is chosen, with the words of the component library. */
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import type { Locale } from 'antd/es/locale';
import { type Language, preferences } from '../util/preferences';
import type english from './en';

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'common';
    resources: typeof english;
  }
}

type Words = { words: Record<string, object>; components: Locale };

const LANGUAGES: Record<Language, () => Promise<Words>> = {
  en: async () => {
    const [words, components] = await Promise.all([import('./en'), import('antd/es/locale/en_US')]);
    return { words: words.default, components: components.default };
  },
  'zh-CN': async () => {
    const [words, components] = await Promise.all([import('./zh-CN'), import('antd/es/locale/zh_CN')]);
    return { words: words.default, components: components.default };
  },
};

/** Names of the languages in themselves. */
export const LANGUAGE_NAMES: Record<Language, string> = { en: 'English', 'zh-CN': '简体中文' };

const components = new Map<Language, Locale>();

/** The words of the component library in a language that has been loaded. */
export function componentWords(language: Language): Locale | undefined {
  return components.get(language);
}

/** Loads a language and switches to it. */
export async function speak(language: Language): Promise<void> {
  const loaded = await LANGUAGES[language]();
  components.set(language, loaded.components);
  for (const [namespace, words] of Object.entries(loaded.words)) {
    i18next.addResourceBundle(language, namespace, words, true, true);
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
}

/** Makes ready what the first page needs. */
export async function startLanguages(): Promise<void> {
  await i18next.use(initReactI18next).init({
    resources: {},
    lng: preferences().language,
    fallbackLng: false,
    defaultNS: 'common',
    interpolation: { escapeValue: false },
    react: { useSuspense: false },
    showSupportNotice: false,
  });
  await speak(preferences().language);
}
