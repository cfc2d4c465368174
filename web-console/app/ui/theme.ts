/** The component library's theme: the same colours as `theme.css`, dense and calm. */
import { type ThemeConfig, theme as antd } from 'antd';
import { useEffect, useSyncExternalStore } from 'react';
import { usePreferences } from '../util/preferences';

const SHARED: ThemeConfig['token'] = {
  borderRadius: 6,
  fontSize: 14,
  controlHeight: 32,
  wireframe: false,
  motionDurationMid: '0.12s',
  motionDurationSlow: '0.18s',
  fontFamily:
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif",
};

const LIGHT: ThemeConfig = {
  algorithm: antd.defaultAlgorithm,
  token: {
    ...SHARED,
    colorPrimary: '#2f54c8',
    colorInfo: '#2f54c8',
    colorSuccess: '#17784a',
    colorWarning: '#b9770e',
    colorError: '#bd2c24',
    colorTextBase: '#1b2230',
    colorTextSecondary: '#5b6576',
    colorTextTertiary: '#687283',
    colorTextDescription: '#687283',
    colorBgLayout: '#f5f6f8',
    colorBorder: '#ccd1d9',
    colorBorderSecondary: '#e3e6eb',
    colorSuccessBg: '#e8f6ee',
    colorSuccessBorder: '#a9dcc0',
    colorWarningBg: '#fdf5e4',
    colorWarningBorder: '#efd29a',
    colorErrorBg: '#fdefed',
    colorErrorBorder: '#f0b8b3',
  },
};

const DARK: ThemeConfig = {
  algorithm: antd.darkAlgorithm,
  token: {
    ...SHARED,
    colorPrimary: '#5b7ee8',
    colorInfo: '#5b7ee8',
    colorSuccess: '#3aa873',
    colorWarning: '#d99a38',
    colorError: '#e2635a',
    colorTextBase: '#e4e8ee',
    colorTextDescription: '#8d97a7',
    colorBgBase: '#101318',
    colorBgLayout: '#101318',
    colorBgContainer: '#181c23',
    colorBgElevated: '#1d222b',
    colorBorder: '#3c4452',
    colorBorderSecondary: '#2a303a',
    colorSuccessBg: '#13301f',
    colorSuccessBorder: '#24583b',
    colorWarningBg: '#35270e',
    colorWarningBorder: '#5f4618',
    colorErrorBg: '#3b1917',
    colorErrorBorder: '#6b2c28',
  },
};

/** Blue on dark blue is hard to read at the size of a menu. */
const DARK_MENU = { itemSelectedBg: '#1f2a48', itemSelectedColor: '#b3c4fa' };

const COMPONENTS: ThemeConfig['components'] = {
  Table: {
    cellPaddingInline: 16, cellPaddingInlineMD: 16, cellPaddingInlineSM: 16, cellPaddingBlockMD: 10, cellPaddingBlockSM: 7,
    headerSplitColor: 'transparent', headerBg: 'transparent', headerColor: 'var(--text-soft)',
  },
  Menu: { itemHeight: 34, itemMarginInline: 8, itemMarginBlock: 2, activeBarBorderWidth: 0, itemBg: 'transparent' },
  Form: { itemMarginBottom: 20, verticalLabelPadding: '0 0 4px' },
  Tabs: { horizontalMargin: '0', horizontalItemGutter: 20 },
  Alert: { withDescriptionPadding: '12px 16px', withDescriptionIconSize: 18 },
};

const darkSystem = window.matchMedia('(prefers-color-scheme: dark)');

function subscribe(listener: () => void): () => void {
  darkSystem.addEventListener('change', listener);
  return () => darkSystem.removeEventListener('change', listener);
}

/** Whether the dark theme is shown: as chosen, else as the system says. */
export function useDark(): boolean {
  const { theme } = usePreferences();
  const system = useSyncExternalStore(subscribe, () => darkSystem.matches);
  return theme === 'system' ? system : theme === 'dark';
}

/** The theme to show, which the page's root is told too. */
export function useTheme(): ThemeConfig {
  const dark = useDark();
  useEffect(() => {
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  }, [dark]);
  const Menu = { ...COMPONENTS?.Menu, ...(dark && DARK_MENU) };
  return { ...(dark ? DARK : LIGHT), components: { ...COMPONENTS, Menu } };
}
