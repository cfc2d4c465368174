/** The list of channels and what can be done with each. */
import { MoreOutlined } from '@ant-design/icons';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { App, Button, Dropdown, type MenuProps, Table, type TableColumnsType } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { useErrorToast } from '../../ui/error';
import { Badge, Status } from '../../ui/status';
import { Time } from '../../ui/time';
import type { Channel } from '../alarms/queries';

/** How long the old secret goes on signing beside the new one. */
const OVERLAP_SECS = 86_400;

type Verbs = {
  allowed: boolean;
  onEdit: (channel: Channel) => void;
  onDelete: (channel: Channel) => void;
  onLook: (channel: Channel) => void;
  onSecret: (secret: string) => void;
};

export function ChannelTable({ channels, ...verbs }: { channels: Channel[] } & Verbs) {
  const { t } = useTranslation(['channels', 'common']);
  const columns: TableColumnsType<Channel> = [
    {
      title: t('common:name'), key: 'name', render: (_, { name, url, enabled }) => (
        <>
          <strong className="long">{name}</strong> <Badge>Webhook</Badge>
          <div className="narrow"><State enabled={enabled} /></div>
          <div className="soft mono long">{url}</div>
        </>
      ),
    },
    {
      title: t('common:state'), key: 'state', responsive: ['md'], render: (_, { enabled }) => <State enabled={enabled} />,
    },
    {
      title: t('common:createdAt'), key: 'created', responsive: ['md'],
      render: (_, { created_at }) => <Time at={created_at} style="relative" />,
    },
    { key: 'actions', align: 'end', render: (_, channel) => <Actions channel={channel} {...verbs} /> },
  ];
  return <Table rowKey="id" size="middle" columns={columns} dataSource={channels} pagination={false} />;
}

function State({ enabled }: { enabled: boolean }) {
  const { t } = useTranslation('channels');
  return <Status tone={enabled ? 'ok' : 'idle'}>{t(enabled ? 'on' : 'off')}</Status>;
}

function Actions({ channel, allowed, onEdit, onDelete, onLook, onSecret }: { channel: Channel } & Verbs) {
  const { t } = useTranslation(['channels', 'common']);
  const { busy, test, toggle, rotate } = useVerbs(channel, onLook, onSecret);
  const items: MenuProps['items'] = [
    { key: 'edit', label: t('common:edit'), onClick: () => onEdit(channel), disabled: !allowed },
    { key: 'rotate', label: t('rotate'), onClick: rotate, disabled: !allowed },
    { key: 'toggle', label: t(channel.enabled ? 'switchOff' : 'switchOn'), onClick: toggle, disabled: !allowed },
    { type: 'divider' },
    { key: 'delete', label: t('common:delete'), danger: true, onClick: () => onDelete(channel), disabled: !allowed },
  ];
  return (
    <span className="row-actions">
      <Button size="small" onClick={() => onLook(channel)}>{t('deliveries')}</Button>
      <Button size="small" disabled={!allowed || !channel.enabled} loading={busy} onClick={test}>{t('test')}</Button>
      <Dropdown menu={{ items }} trigger={['click']} placement="bottomRight">
        <Button type="text" size="small" icon={<MoreOutlined />} aria-label={`${t('common:actions')} ${channel.name}`} />
      </Dropdown>
    </span>
  );
}

function useVerbs(channel: Channel, onLook: (channel: Channel) => void, onSecret: (secret: string) => void) {
  const { t } = useTranslation('channels');
  const { message } = App.useApp();
  const client = useQueryClient();
  const toast = useErrorToast();
  const { id: instanceId } = useInstance();
  const params = { path: { instance_id: instanceId, channel_id: channel.id } };
  const test = useMutation({
    mutationFn: () => call(api.POST('/v1/instances/{instance_id}/channels/{channel_id}/test', { params })),
    onSuccess: async () => {
      message.success(t('testSent'));
      await client.invalidateQueries({ queryKey: ['deliveries', instanceId] });
      onLook(channel);
    },
    onError: toast,
  });
  const toggle = useMutation({
    mutationFn: () => call(api.PATCH('/v1/instances/{instance_id}/channels/{channel_id}', {
      params, body: { enabled: !channel.enabled },
    })),
    onSuccess: () => client.invalidateQueries({ queryKey: ['channels', instanceId] }),
    onError: toast,
  });
  const rotate = useMutation({
    mutationFn: () => call(api.POST('/v1/instances/{instance_id}/channels/{channel_id}/rotate-secret', {
      params, body: { overlap_secs: OVERLAP_SECS },
    })),
    onSuccess: async ({ secret }) => {
      onSecret(secret);
      await client.invalidateQueries({ queryKey: ['channels', instanceId] });
    },
    onError: toast,
  });
  return {
    busy: test.isPending || toggle.isPending || rotate.isPending,
    test: () => test.mutate(), toggle: () => toggle.mutate(), rotate: () => rotate.mutate(),
  };
}
