/** The main navigation: the doors of the instance that is open, and the tenant's. */
import { Link, useRouterState } from '@tanstack/react-router';
import { Menu } from 'antd';
import { createElement } from 'react';
import { useTranslation } from 'react-i18next';
import { type Door, INSTANCE_DOORS, TENANT_DOOR } from './navigation';

type MenuEntry = { key: string; children?: { key: string }[] };

type Properties = { tenantId: string | null; instanceId: string | null; onChosen?: () => void };

export function NavigationMenu({ tenantId, instanceId, onChosen }: Properties) {
  const { t } = useTranslation('layout');
  const path = useRouterState({ select: (state) => state.location.pathname });
  const item = (base: string) => ({ page, path: below, icon }: Door['entries'][number]) => {
    const to = `${base}/${below}`;
    const label = <Link to={to}>{t(`pages.${page}`)}</Link>;
    return { key: to, icon: icon === undefined ? undefined : createElement(icon), label };
  };
  const group = (base: string, { door, entries }: Door) => ({
    key: door, type: 'group' as const, label: t(`doors.${door}`), children: entries.map(item(base)),
  });
  const inInstance = (instance: string) => INSTANCE_DOORS.flatMap((door): MenuEntry[] => {
    const base = `/instances/${instance}`;
    // The first door is the instance itself: its pages need no title above them.
    return door.door === 'overview' ? door.entries.map(item(base)) : [group(base, door)];
  });
  const items: MenuEntry[] = [
    ...(instanceId === null ? [] : inInstance(instanceId)),
    ...(tenantId === null ? [] : [group(`/tenants/${tenantId}`, TENANT_DOOR)]),
  ];
  const selected = items.flatMap((one) => one.children?.map(({ key }) => key) ?? [one.key])
    .filter((key) => path === key || path.startsWith(`${key}/`));
  return (
    <nav aria-label={t('navigation')}>
      <Menu mode="inline" items={items} selectedKeys={selected} {...(onChosen && { onClick: onChosen })} />
    </nav>
  );
}
