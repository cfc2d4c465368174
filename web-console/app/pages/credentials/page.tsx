/** Credentials: what devices prove themselves with for long. */
import { PlusOutlined, SafetyCertificateOutlined } from '@ant-design/icons';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Alert, Button, Input, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useInstance, usePermission } from '../../layout/instance';
import { useAddress } from '../../ui/address';
import { EmptyState } from '../../ui/empty';
import { ErrorNotice } from '../../ui/error';
import { Page, Panel } from '../../ui/page';
import { CredentialForm } from './form';
import { type Credential, credentialsQuery } from './query';
import { type Secret, SecretModal } from './secret';
import { CredentialTable } from './table';

export default function CredentialsPage() {
  const { t } = useTranslation('credentials');
  const { id: instanceId, authentication } = useInstance();
  const { allowed, reason } = usePermission('credentials:write');
  const [{ user = '' }, change] = useAddress();
  const [editing, setEditing] = useState<Credential | 'new' | null>(null);
  const [secret, setSecret] = useState<Secret | null>(null);
  const query = useInfiniteQuery(credentialsQuery(instanceId, user));
  const credentials = query.data?.pages.flatMap(({ items }) => items) ?? [];
  const create = (
    <Tooltip title={reason}>
      <Button type="primary" icon={<PlusOutlined />} disabled={!allowed} onClick={() => setEditing('new')}>
        {t('create')}
      </Button>
    </Tooltip>
  );
  const search = (
    <Input.Search key={user} defaultValue={user} allowClear placeholder={t('find')} aria-label={t('find')}
      style={{ maxWidth: 320 }} onSearch={(text) => change({ user: text || undefined })} />
  );
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={create}>
      {!authentication.includes('password') && <Alert type="warning" showIcon title={t('notAccepted')} />}
      {query.isError && <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />}
      {(credentials.length > 0 || !query.isError) && <Panel flush title={search}>
        {query.isSuccess && credentials.length === 0
          ? (
            <EmptyState icon={<SafetyCertificateOutlined />} title={user === '' ? t('emptyTitle') : t('noneFound')}
              actions={user === '' ? create : undefined}>
              {user === '' && t('emptyText')}
            </EmptyState>
          )
          : (
            <CredentialTable credentials={credentials} loading={query.isPending} hasMore={query.hasNextPage}
              loadingMore={query.isFetchingNextPage} onMore={() => void query.fetchNextPage()} allowed={allowed}
              onEdit={setEditing} onSecret={setSecret} />
          )}
      </Panel>}
      <CredentialForm credential={editing} onClose={() => setEditing(null)} onSecret={setSecret} />
      <SecretModal secret={secret} onClose={() => setSecret(null)} />
    </Page>
  );
}
