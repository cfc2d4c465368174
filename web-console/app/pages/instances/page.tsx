/** The tenant's instances, and those that can still be restored. */
import { AppstoreOutlined, PlusOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { Button, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allows, standingsIn } from '../../api/permissions';
import { instancesQuery, sessionQuery } from '../../api/queries';
import { EmptyState } from '../../ui/empty';
import { Loaded } from '../../ui/loaded';
import { Page, Panel } from '../../ui/page';
import { CreateInstance } from './create';
import { DeletedInstances } from './deleted';
import { InstanceTable } from './table';

export default function InstancesPage() {
  const { t } = useTranslation(['instances', 'common']);
  const { tenantId = '' } = useParams({ strict: false });
  const [creating, setCreating] = useState(false);
  const { data: session } = useQuery(sessionQuery);
  const query = useQuery(instancesQuery(tenantId));
  const mayCreate = session !== undefined && allows(standingsIn(session, tenantId), 'instances:write');
  const create = (
    <Tooltip title={mayCreate ? undefined : t('common:notAllowed', { permission: 'instances:write' })}>
      <Button type="primary" icon={<PlusOutlined />} disabled={!mayCreate} onClick={() => setCreating(true)}>
        {t('create')}
      </Button>
    </Tooltip>
  );
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={create}>
      <Panel flush>
        <Loaded query={query}>
          {({ items }) => items.length === 0
            ? (
              <EmptyState icon={<AppstoreOutlined />} title={t('emptyTitle')} actions={mayCreate ? create : undefined}>
                {mayCreate ? t('emptyText') : t('emptyReader')}
              </EmptyState>
            )
            : <InstanceTable instances={items} />}
        </Loaded>
      </Panel>
      <DeletedInstances tenantId={tenantId} mayRestore={mayCreate} />
      <CreateInstance tenantId={tenantId} open={creating} onClose={() => setCreating(false)} />
    </Page>
  );
}
