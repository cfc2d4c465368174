/** The messages found: a row opens one. */
import { Button, Table, type TableColumnsType } from 'antd';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../ui/language';
import { Badge } from '../../ui/status';
import { DayTime, Time } from '../../ui/time';
import { bodyText, bytesOf } from './body';
import type { Message } from './query';

const PREVIEW_CHARACTERS = 80;

type Properties = {
  messages: Message[];
  loading: boolean;
  hasMore: boolean;
  loadingMore: boolean;
  onMore: () => void;
  onOpen: (message: Message) => void;
};

export function MessageList({ messages, loading, hasMore, loadingMore, onMore, onOpen }: Properties) {
  const { t } = useTranslation(['messages', 'common']);
  const { bytes } = useFormat();
  const columns: TableColumnsType<Message> = [
    {
      title: t('storedAt'), key: 'at', width: 250, responsive: ['md'],
      render: (_, { stored_at }) => <Time at={stored_at} style="millis" />,
    },
    {
      title: t('topic'), key: 'topic', render: (_, message) => (
        <>
          <button type="button" className="link mono" onClick={() => onOpen(message)}>{message.topic}</button>
          <span className="soft message-preview mono">{preview(message)}</span>
          <span className="soft narrow message-when">
            <DayTime at={message.stored_at} /> · {message.client_id ?? t('application')} · {bytes(message.bytes)}
          </span>
        </>
      ),
    },
    {
      title: t('client'), key: 'client', width: 200, responsive: ['md'],
      render: (_, { client_id: id }) => (id == null ? <Badge>{t('application')}</Badge> : <span className="mono long">{id}</span>),
    },
    { title: 'QoS', dataIndex: 'qos', width: 70, responsive: ['md'] },
    { title: t('size'), key: 'size', width: 110, align: 'end', responsive: ['md'], render: (_, message) => bytes(message.bytes) },
  ];
  return (
    <>
      <Table rowKey="id" size="middle" columns={columns} dataSource={messages} loading={loading} pagination={false}
        onRow={(message) => ({ className: 'message-row', onClick: () => onOpen(message) })} />
      {hasMore && (
        <div className="load-more"><Button loading={loadingMore} onClick={onMore}>{t('common:loadMore')}</Button></div>
      )}
    </>
  );
}

function preview({ payload }: Message): string {
  if (payload == null) return '';
  return bodyText(bytesOf(payload)).slice(0, PREVIEW_CHARACTERS).replaceAll(/\s+/g, ' ');
}
