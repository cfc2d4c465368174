/** An empty answer: the reason first, and what can be done. */
import { SearchOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { topicsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { EmptyState } from '../../ui/empty';
import { Time } from '../../ui/time';
import type { Criteria } from './query';

type Properties = { criteria: Criteria; coverage: Schema<'MessageCoverage'> | undefined };

export function NothingFound({ criteria, coverage }: Properties) {
  const { t } = useTranslation('messages');
  const { id: instanceId } = useInstance();
  const topics = useQuery(topicsQuery(instanceId));
  const first = criteria.filter.split('/')[0] ?? '';
  const off = topics.data?.items.find(({ name, history }) => name === first && !history.enabled);
  const nowhere = topics.data !== undefined && topics.data.items.every(({ history }) => !history.enabled);
  const toTopics = <Link to="/instances/$instanceId/topics" params={{ instanceId }}>{t('toTopics')}</Link>;
  if (nowhere || off !== undefined) {
    return (
      <EmptyState icon={<SearchOutlined />} title={nowhere ? t('offEverywhere') : t('offHere', { topic: first })}
        actions={toTopics}>
        {t('offText')}
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={<SearchOutlined />} title={t('nothing')}>
      {t('nothingText')}
      {coverage?.history_enabled_since != null && (
        <div>{t('keptSince')} <Time at={coverage.history_enabled_since} style="minute" /></div>
      )}
    </EmptyState>
  );
}
