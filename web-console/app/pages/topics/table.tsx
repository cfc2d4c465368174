/** The list of topics. */
import { DeleteOutlined, EditOutlined } from '@ant-design/icons';
import { Link } from '@tanstack/react-router';
import { Button, Table, type TableColumnsType, Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { useFormat } from '../../ui/language';
import { Badge } from '../../ui/status';
import { Time } from '../../ui/time';

type Topic = Schema<'Topic'>;

type Properties = {
  topics: Topic[];
  allowed: boolean;
  onEdit: (topic: Topic) => void;
  onDelete: (topic: Topic) => void;
};

export function TopicTable({ topics, allowed, onEdit, onDelete }: Properties) {
  const { t } = useTranslation(['topics', 'common', 'instances']);
  const { id } = useInstance();
  const { bytes } = useFormat();
  const columns: TableColumnsType<Topic> = [
    {
      title: t('name'), key: 'name', render: (_, { name, description }) => (
        <>
          <Link to="/instances/$instanceId/messages" params={{ instanceId: id }}
            search={{ filter: `${name}/#` } as never}>
            <strong className="mono long">{name}</strong>
          </Link>
          {description !== '' && <div className="soft long">{description}</div>}
        </>
      ),
    },
    { title: t('history'), key: 'history', render: (_, topic) => <History history={topic.history} /> },
    {
      title: t('durability'), key: 'durability', responsive: ['md'],
      render: (_, { durability }) => (durability == null
        ? <span className="soft">{t('asInstance')}</span> : t(`instances:classes.${durability}`)),
    },
    {
      title: t('payloadMax'), key: 'payload', responsive: ['md'],
      render: (_, { payload_bytes_max: max }) => (max == null ? <span className="soft">{t('asPlan')}</span> : bytes(max)),
    },
    {
      title: t('common:createdAt'), key: 'created', responsive: ['lg'],
      render: (_, { created_at }) => <Time at={created_at} style="relative" />,
    },
    {
      key: 'actions', align: 'end', render: (_, topic) => (
        <span style={{ whiteSpace: 'nowrap' }}>
          <Tooltip title={t('common:edit')}>
            <Button type="text" size="small" icon={<EditOutlined />} disabled={!allowed}
              aria-label={`${t('common:edit')} ${topic.name}`} onClick={() => onEdit(topic)} />
          </Tooltip>
          <Tooltip title={t('common:delete')}>
            <Button type="text" size="small" icon={<DeleteOutlined />} disabled={!allowed}
              aria-label={`${t('common:delete')} ${topic.name}`} onClick={() => onDelete(topic)} />
          </Tooltip>
        </span>
      ),
    },
  ];
  return <Table rowKey="name" size="middle" columns={columns} dataSource={topics} pagination={false} />;
}

/** Whether messages are kept, how long, and since when. */
function History({ history }: { history: Topic['history'] }) {
  const { t } = useTranslation('topics');
  const { duration, bytes } = useFormat();
  if (!history.enabled) return <Badge>{t('historyOff')}</Badge>;
  return (
    <>
      <Badge tone="ok">{t('historyOn', { span: duration(history.retention_secs) })}</Badge>
      {history.retention_bytes != null && <span className="soft"> {t('upTo', { size: bytes(history.retention_bytes) })}</span>}
      <div className="soft">{t('since')} <Time at={history.enabled_since} style="relative" /></div>
    </>
  );
}
