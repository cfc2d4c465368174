/** Language and theme. */
import { BulbOutlined, TranslationOutlined } from '@ant-design/icons';
import { Button, Dropdown } from 'antd';
import { useTranslation } from 'react-i18next';
import { LANGUAGE_NAMES, speak } from '../i18n';
import { type Language, prefer, type ThemeChoice, usePreferences } from '../util/preferences';

export function LanguageMenu() {
  const { t } = useTranslation('layout');
  const { language } = usePreferences();
  const items = Object.entries(LANGUAGE_NAMES).map(([key, label]) => ({ key, label: <span lang={key}>{label}</span> }));
  const choose = async (chosen: Language) => {
    await speak(chosen);
    prefer({ language: chosen });
  };
  return (
    <Dropdown trigger={['click']} menu={{
      items, selectedKeys: [language], onClick: ({ key }) => void choose(key as Language),
    }}>
      <Button type="text" icon={<TranslationOutlined />} aria-label={`${t('language')}: ${LANGUAGE_NAMES[language]}`} />
    </Dropdown>
  );
}

export function ThemeMenu() {
  const { t } = useTranslation('layout');
  const { theme } = usePreferences();
  const items = [
    { key: 'system', label: t('themeSystem') },
    { key: 'light', label: t('themeLight') },
    { key: 'dark', label: t('themeDark') },
  ];
  return (
    <Dropdown trigger={['click']} menu={{
      items, selectedKeys: [theme], onClick: ({ key }) => prefer({ theme: key as ThemeChoice }),
    }}>
      <Button type="text" icon={<BulbOutlined />} aria-label={t('theme')} />
    </Dropdown>
  );
}
