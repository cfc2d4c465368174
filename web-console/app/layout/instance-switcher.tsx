/** The instance's name, and a list with a search to go to another one. */
import { DownOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { Button, Input, Popover } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { instancesQuery } from '../api/queries';
import { Status } from '../ui/status';

/** With fewer instances than this a search is only in the way. */
const SEARCH_FROM = 8;

type Properties = { tenantId: string; instanceId: string | null };

export function InstanceSwitcher({ tenantId, instanceId }: Properties) {
  const { t } = useTranslation('layout');
  const [open, setOpen] = useState(false);
  const { data } = useQuery(instancesQuery(tenantId));
  const current = data?.items.find(({ id }) => id === instanceId);
  const name = current?.name ?? t('chooseInstance');
  return (
    <Popover
      open={open}
      onOpenChange={setOpen}
      trigger="click"
      placement="bottomLeft"
      arrow={false}
      content={<Choice tenantId={tenantId} instanceId={instanceId} onChosen={() => setOpen(false)} />}
    >
      <Button type="text" className="header-instance" aria-label={`${t('instance')}: ${name}`} aria-expanded={open}>
        <span className="cut">{name}</span><DownOutlined className="caret" />
      </Button>
    </Popover>
  );
}

function Choice({ tenantId, instanceId, onChosen }: Properties & { onChosen: () => void }) {
  const { t } = useTranslation('layout');
  const navigate = useNavigate();
  const [search, setSearch] = useState('');
  const { data } = useQuery(instancesQuery(tenantId));
  const items = data?.items ?? [];
  const found = items.filter(({ name }) => name.toLowerCase().includes(search.trim().toLowerCase()));
  return (
    <div className="switcher">
      {items.length >= SEARCH_FROM && (
        <Input.Search autoFocus allowClear placeholder={t('findInstance')} aria-label={t('findInstance')} value={search}
          onChange={(event) => setSearch(event.target.value)}
          onPressEnter={() => {
            const first = found[0];
            if (first === undefined) return;
            onChosen();
            void navigate({ to: '/instances/$instanceId/overview', params: { instanceId: first.id } });
          }} />
      )}
      <ul>
        {found.map(({ id, name, state }) => (
          <li key={id}>
            <Link to="/instances/$instanceId/overview" params={{ instanceId: id }} onClick={onChosen}
              aria-current={id === instanceId ? 'true' : undefined}>
              <Status tone={state === 'running' ? 'ok' : 'bad'}><span className="cut">{name}</span></Status>
            </Link>
          </li>
        ))}
        {found.length === 0 && <li className="soft switcher-none">{t('noInstance')}</li>}
      </ul>
      <Link className="switcher-all" to="/tenants/$tenantId/instances" params={{ tenantId }} onClick={onChosen}>
        {t('allInstances')}
      </Link>
    </div>
  );
}
