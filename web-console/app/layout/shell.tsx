/** Header and navigation around every page of somebody who is signed in. On a phone the navigation is a drawer. */
import { useQuery } from '@tanstack/react-query';
import { Outlet, useParams } from '@tanstack/react-router';
import { Drawer } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { instanceQuery, sessionQuery } from '../api/queries';
import { usePreferences } from '../util/preferences';
import { Header } from './header';
import { NavigationMenu } from './menu';
import { useSessionKeeper } from './session-keeper';
import './shell.css';

export function Shell() {
  const { t } = useTranslation('layout');
  const [open, setOpen] = useState(false);
  const { tenantId, instanceId } = useOpen();
  useSessionKeeper();
  return (
    <div className="shell">
      <a className="skip" href="#content">{t('skip')}</a>
      <Header tenantId={tenantId} instanceId={instanceId} onMenu={() => setOpen(true)} />
      <aside className="shell-side">
        <NavigationMenu tenantId={tenantId} instanceId={instanceId} />
      </aside>
      <Drawer open={open} placement="left" size={264} title={t('menu')} onClose={() => setOpen(false)}
        className="shell-drawer">
        <NavigationMenu tenantId={tenantId} instanceId={instanceId} onChosen={() => setOpen(false)} />
      </Drawer>
      <main id="content" className="shell-content" tabIndex={-1}>
        <Outlet />
      </main>
    </div>
  );
}

/** The tenant and the instance that the address names; on pages outside of instances the one last looked at. */
function useOpen(): { tenantId: string | null; instanceId: string | null } {
  const parameters = useParams({ strict: false });
  const { instanceId: last } = usePreferences();
  const { data: session } = useQuery(sessionQuery);
  const wanted = parameters.instanceId ?? last;
  const { data: instance } = useQuery({ ...instanceQuery(wanted ?? ''), enabled: wanted !== null });
  const tenantId = parameters.tenantId ?? instance?.tenant_id ?? session?.tenants[0]?.id ?? null;
  const fits = parameters.instanceId !== undefined || instance?.tenant_id === tenantId;
  return { tenantId, instanceId: instance !== undefined && instance.state !== 'deleting' && fits ? instance.id : null };
}
