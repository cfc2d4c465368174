/** Message query: what was published to topics with history, by topic, client, time and message ID. */
import { SendOutlined } from '@ant-design/icons';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Button, Tooltip } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { asApiError } from '../../api/errors';
import { useInstance, usePermission } from '../../layout/instance';
import { useAddress, useRange } from '../../ui/address';
import { ShowCall } from '../../ui/call';
import { ErrorNotice } from '../../ui/error';
import { Page, Panel } from '../../ui/page';
import { momentsOf } from '../../util/range';
import { Bar } from './bar';
import { CoverageNotice } from './coverage';
import { MessageDetail } from './detail';
import { MessageList } from './list';
import { NothingFound } from './nothing';
import { PublishForm } from './publish';
import { addressOf, criteriaOf, type Message, messagesQuery, parametersOf } from './query';
import './page.css';

export default function MessagesPage() {
  const { t } = useTranslation('messages');
  const { id: instanceId } = useInstance();
  const { allowed, reason } = usePermission('messages:publish');
  const [address, change] = useAddress();
  const [range, setRange] = useRange('15m');
  const [follow, setFollow] = useState(false);
  const [opened, setOpened] = useState<Message | null>(null);
  const [publishing, setPublishing] = useState(false);
  const criteria = useMemo(() => criteriaOf(address), [address]);
  const following = follow && range.kind === 'live' && criteria.order === 'newest';
  const query = useInfiniteQuery(messagesQuery(instanceId, criteria, range, following));
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  const off = query.isError && asApiError(query.error).code === 'history_disabled';
  const coverage = query.data?.pages.at(-1)?.coverage;
  const publish = (
    <Tooltip title={reason}>
      <Button icon={<SendOutlined />} disabled={!allowed} onClick={() => setPublishing(true)}>{t('publish')}</Button>
    </Tooltip>
  );
  const call = () => {
    const { from, to } = momentsOf(range, Date.now());
    const parameters = parametersOf(criteria, { from: from.toISOString(), to: to.toISOString() });
    const text = new URLSearchParams(parameters).toString();
    return { method: 'GET', path: `/v1/instances/${instanceId}/messages?${text}&include=payload` };
  };
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={<><ShowCall call={call} />{publish}</>}>
      <Bar criteria={criteria} range={range} busy={query.isFetching} follow={following}
        onAsk={(asked) => {
          change(addressOf(asked));
          void query.refetch();
        }}
        onRange={setRange} onFollow={setFollow} />
      {query.isError && !off && <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />}
      {coverage !== undefined && <CoverageNotice coverage={coverage} />}
      {(items.length > 0 || !query.isError || off) && <Panel flush>
        {off || (items.length === 0 && query.isSuccess && !query.hasNextPage)
          ? <NothingFound criteria={criteria} coverage={coverage} />
          : (
            <MessageList messages={items} loading={query.isPending} hasMore={query.hasNextPage}
              loadingMore={query.isFetchingNextPage} onMore={() => void query.fetchNextPage()} onOpen={setOpened} />
          )}
      </Panel>}
      <MessageDetail message={opened} onClose={() => setOpened(null)} />
      <PublishForm open={publishing} onClose={() => setPublishing(false)} />
    </Page>
  );
}
