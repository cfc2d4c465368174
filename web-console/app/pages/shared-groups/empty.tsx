/** What stands there before the first shared subscription: how to make one. */
import { ShareAltOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { endpointsQuery, topicsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { CodeBlock } from '../../ui/copy';
import { EmptyState } from '../../ui/empty';
import { memberCommand } from './member-command';

export function NoGroups() {
  const { t } = useTranslation('sharedGroups');
  const instance = useInstance();
  const { data: endpoints } = useQuery(endpointsQuery(instance.id));
  const { data: topics } = useQuery(topicsQuery(instance.id));
  const params = { instanceId: instance.id };
  const command = memberCommand(endpoints ?? instance.endpoints, {
    clientId: 'worker-1', group: 'workers', filter: `${topics?.items[0]?.name ?? 'demo'}/#`, password: `<${t('placeholder')}>`,
  });
  const links = (
    <>
      <Link to="/instances/$instanceId/tokens" params={params}>{t('toTokens')}</Link>
      <Link to="/instances/$instanceId/credentials" params={params}>{t('toCredentials')}</Link>
    </>
  );
  return (
    <EmptyState icon={<ShareAltOutlined />} title={t('emptyTitle')} actions={links}>
      <p>{t('emptyText')}</p>
      <CodeBlock code={command} label={t('command')} />
      <p>{t('emptyLasting')}</p>
    </EmptyState>
  );
}
