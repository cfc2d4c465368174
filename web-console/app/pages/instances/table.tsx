/** The list of instances: a row opens one. */
import { Link } from '@tanstack/react-router';
import { Table, type TableColumnsType } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { CopyButton } from '../../ui/copy';
import { Status } from '../../ui/status';
import { Time } from '../../ui/time';

type Instance = Schema<'Instance'>;

const TONES = { running: 'ok', suspended: 'bad', deleting: 'idle' } as const;

export function InstanceState({ state }: { state: Instance['state'] }) {
  const { t } = useTranslation('instances');
  return <Status tone={TONES[state]}>{t(`states.${state}`)}</Status>;
}

export function InstanceTable({ instances }: { instances: Instance[] }) {
  const { t } = useTranslation(['instances', 'common']);
  const columns: TableColumnsType<Instance> = [
    {
      title: t('name'), key: 'name', render: (_, { id, name, label }) => (
        <>
          <Link to="/instances/$instanceId/overview" params={{ instanceId: id }}><strong>{name}</strong></Link>
          <div className="soft mono">{label}</div>
        </>
      ),
    },
    { title: t('common:state'), key: 'state', render: (_, { state }) => <InstanceState state={state} /> },
    {
      title: t('plan'), key: 'plan', responsive: ['md'],
      render: (_, { plan }) => <>{plan.name} <span className="soft">v{plan.version}</span></>,
    },
    { title: t('topicMode'), key: 'mode', responsive: ['lg'], render: (_, { topic_mode }) => t(topic_mode) },
    {
      title: t('endpoint'), key: 'endpoint', responsive: ['md'],
      render: (_, { endpoints }) => (
        <span className="row" style={{ flexWrap: 'nowrap', gap: 4 }}>
          <code>{endpoints.mqtt}</code><CopyButton text={endpoints.mqtt} />
        </span>
      ),
    },
    {
      title: t('common:createdAt'), key: 'created', responsive: ['lg'],
      render: (_, { created_at }) => <Time at={created_at} style="relative" />,
    },
  ];
  return <Table rowKey="id" size="middle" columns={columns} dataSource={instances} pagination={false} />;
}
