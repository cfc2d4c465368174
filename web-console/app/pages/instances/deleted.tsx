/** Deleted instances that can still be restored; nothing where there are none. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Table, type TableColumnsType } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, callApplied, type Schema, WAIT } from '../../api/client';
import { instancesQuery } from '../../api/queries';
import { useErrorToast } from '../../ui/error';
import { Panel } from '../../ui/page';
import { Time } from '../../ui/time';
import { restorableUntil } from './restorable';

type Instance = Schema<'Instance'>;

export function DeletedInstances({ tenantId, mayRestore }: { tenantId: string; mayRestore: boolean }) {
  const { t } = useTranslation('instances');
  const { message } = App.useApp();
  const client = useQueryClient();
  const toast = useErrorToast();
  const { data } = useQuery(instancesQuery(tenantId, true));
  const restore = useMutation({
    mutationFn: (instanceId: string) => callApplied(api.POST('/v1/instances/{instance_id}/restore', {
      params: { path: { instance_id: instanceId }, ...WAIT },
    })),
    onSuccess: async () => {
      message.success(t('restored'));
      await client.invalidateQueries({ queryKey: ['instances', tenantId] });
    },
    onError: toast,
  });
  const items = (data?.items ?? []).filter(({ deleted_at }) => deleted_at != null);
  if (items.length === 0) return null;
  const columns: TableColumnsType<Instance> = [
    { title: t('name'), dataIndex: 'name' },
    { title: t('deletedAt'), key: 'at', render: (_, { deleted_at }) => <Time at={deleted_at} style="relative" /> },
    {
      title: t('restorableUntil'), key: 'until', responsive: ['md'],
      render: (_, { deleted_at }) => <Time at={restorableUntil(deleted_at ?? '')} style="minute" />,
    },
    {
      key: 'restore', align: 'end', render: (_, { id }) => (
        <Button size="small" disabled={!mayRestore} loading={restore.isPending && restore.variables === id}
          onClick={() => restore.mutate(id)}>
          {t('restore')}
        </Button>
      ),
    },
  ];
  return (
    <Panel title={t('deletedTitle')} flush>
      <Table rowKey="id" size="middle" columns={columns} dataSource={items} pagination={false} />
    </Panel>
  );
}
