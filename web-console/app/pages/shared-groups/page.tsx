/** Shared subscriptions: who shares what, and how far each group is behind. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { Alert } from 'antd';
import { useTranslation } from 'react-i18next';
import { useInstance } from '../../layout/instance';
import { ShowCall } from '../../ui/call';
import { useFormat } from '../../ui/language';
import { Loaded } from '../../ui/loaded';
import { useMissingNodes } from '../../ui/missing-nodes';
import { Page, Panel } from '../../ui/page';
import { Status } from '../../ui/status';
import { NoGroups } from './empty';
import { sharedGroupsQuery } from './query';
import { GroupTable } from './table';

export default function SharedGroupsPage() {
  const { t } = useTranslation(['sharedGroups', 'common']);
  const { language } = useFormat();
  const { id: instanceId } = useInstance();
  const query = useInfiniteQuery(sharedGroupsQuery(instanceId));
  const named = useMissingNodes();
  const documentation = (
    <a className="nowrap" href={`/docs/${language}/shared-subscriptions`} target="_blank" rel="noreferrer">
      {t('documentation')}
    </a>
  );
  const actions = (
    <>
      <Status tone={query.isError ? 'idle' : 'ok'}>{query.isError ? t('common:paused') : t('common:live')}</Status>
      <ShowCall call={{ method: 'GET', path: `/v1/instances/${instanceId}/shared-groups` }} />
    </>
  );
  return (
    <Page title={t('title')} sentence={<>{t('sentence')} {documentation}</>} actions={actions}>
      <Loaded query={query}>
        {({ pages }) => {
          const groups = pages.flatMap(({ items }) => items);
          const missing = [...new Map(
            pages.flatMap(({ coverage }) => coverage.missing).map((node) => [node.node_id, node]),
          ).values()];
          return (
            <>
              {missing.length > 0 && (
                <Alert type="warning" showIcon title={t('incomplete')}
                  description={t('missingNodes', { nodes: named(missing) })} />
              )}
              <Panel flush>
                {groups.length === 0
                  ? <NoGroups />
                  : (
                    <GroupTable groups={groups} hasMore={query.hasNextPage} loadingMore={query.isFetchingNextPage}
                      onMore={() => void query.fetchNextPage()} />
                  )}
              </Panel>
            </>
          );
        }}
      </Loaded>
    </Page>
  );
}
