/** Temporary tokens: issue, find, revoke. */
import { KeyOutlined, PlusOutlined, StopOutlined } from '@ant-design/icons';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Alert, Button, Input, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useInstance, usePermission } from '../../layout/instance';
import { useAddress } from '../../ui/address';
import { EmptyState } from '../../ui/empty';
import { ErrorNotice } from '../../ui/error';
import { Page, Panel } from '../../ui/page';
import { IssueToken } from './issue';
import { type Token, tokensQuery } from './query';
import { RevokeTokens, type Target } from './revoke';
import { TokenTable } from './table';

export default function TokensPage() {
  const { t } = useTranslation('tokens');
  const { id: instanceId, authentication } = useInstance();
  const issue = usePermission('tokens:issue');
  const revoke = usePermission('tokens:revoke');
  const [{ client = '' }, change] = useAddress();
  const [issuing, setIssuing] = useState(false);
  const [target, setTarget] = useState<Target | null>(null);
  const query = useInfiniteQuery(tokensQuery(instanceId, client));
  const tokens = query.data?.pages.flatMap(({ items }) => items) ?? [];
  const issueButton = (
    <Tooltip title={issue.reason}>
      <Button type="primary" icon={<PlusOutlined />} disabled={!issue.allowed} onClick={() => setIssuing(true)}>
        {t('issue')}
      </Button>
    </Tooltip>
  );
  const revokeButton = (
    <Tooltip title={revoke.reason}>
      <Button icon={<StopOutlined />} disabled={!revoke.allowed}
        onClick={() => setTarget({ kind: 'client', clientId: client })}>
        {t('revoke')}
      </Button>
    </Tooltip>
  );
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={<>{revokeButton}{issueButton}</>}>
      {!authentication.includes('token') && <Alert type="warning" showIcon title={t('notAccepted')} />}
      {query.isError && <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />}
      {(tokens.length > 0 || !query.isError) && <Panel flush title={<SearchField value={client} onChange={(text) => change({ client: text || undefined })} />}>
        {query.isSuccess && tokens.length === 0
          ? client === '' ? <NoTokens action={issueButton} /> : <EmptyState icon={<KeyOutlined />} title={t('noneFound')} />
          : (
            <TokenTable tokens={tokens} loading={query.isPending} hasMore={query.hasNextPage}
              loadingMore={query.isFetchingNextPage} onMore={() => void query.fetchNextPage()} mayRevoke={revoke.allowed}
              onRevoke={(token: Token) => setTarget({ kind: 'token', token })} />
          )}
      </Panel>}
      <IssueToken open={issuing} onClose={() => setIssuing(false)} />
      <RevokeTokens target={target} onClose={() => setTarget(null)} />
    </Page>
  );
}

function SearchField({ value, onChange }: { value: string; onChange: (text: string) => void }) {
  const { t } = useTranslation('tokens');
  return (
    <Input.Search key={value} defaultValue={value} allowClear placeholder={t('findClient')} aria-label={t('findClient')}
      style={{ maxWidth: 320 }} onSearch={onChange} />
  );
}

/** When to use a token, a credential, a certificate: a line each. */
function NoTokens({ action }: { action: React.ReactNode }) {
  const { t } = useTranslation('tokens');
  return (
    <EmptyState icon={<KeyOutlined />} title={t('emptyTitle')} actions={action}>
      <p>{t('emptyToken')}</p>
      <p>{t('emptyCredential')}</p>
    </EmptyState>
  );
}
