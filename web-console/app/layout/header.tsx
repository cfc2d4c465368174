/** The header: tenant and instance, alarms, language, theme, me. */
import { MenuOutlined } from '@ant-design/icons';
import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { Finder } from './finder';
import { AlarmBell } from './alarm-bell';
import { InstanceSwitcher } from './instance-switcher';
import { LanguageMenu, ThemeMenu } from './preference-menus';
import { MeMenu } from './me-menu';
import { TenantSwitcher } from './tenant-switcher';

type Properties = { tenantId: string | null; instanceId: string | null; onMenu: () => void };

export function Header({ tenantId, instanceId, onMenu }: Properties) {
  const { t } = useTranslation('layout');
  return (
    <header className="header">
      <Button className="header-menu" type="text" icon={<MenuOutlined />} aria-label={t('menu')} onClick={onMenu} />
      <Link to="/" className="brand" aria-label="IoT MQ">
        <img src="/favicon.svg" width={24} height={24} alt="" />
        <span className="brand-name">IoT MQ</span>
      </Link>
      <div className="header-place">
        {tenantId !== null && <TenantSwitcher tenantId={tenantId} />}
        {tenantId !== null && <span className="header-slash" aria-hidden="true">/</span>}
        {tenantId !== null && <InstanceSwitcher tenantId={tenantId} instanceId={instanceId} />}
      </div>
      <div className="header-tools">
        <Finder tenantId={tenantId} instanceId={instanceId} />
        {instanceId !== null && <AlarmBell instanceId={instanceId} />}
        <LanguageMenu />
        <ThemeMenu />
        <MeMenu />
      </div>
    </header>
  );
}
