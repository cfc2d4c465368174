/** The list of credentials and what can be done with each. */
import { MoreOutlined } from '@ant-design/icons';
import { Button, Dropdown, type MenuProps, Table, type TableColumnsType } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { GrantWords } from '../../ui/grants';
import { LabelWords } from '../../ui/label-field';
import { Badge, Status } from '../../ui/status';
import { Time } from '../../ui/time';
import { useCredentialVerbs } from './verbs';
import { DeleteCredential } from './delete';
import type { Credential } from './query';
import type { Secret } from './secret';

type Properties = {
  credentials: Credential[];
  loading: boolean;
  hasMore: boolean;
  loadingMore: boolean;
  allowed: boolean;
  onMore: () => void;
  onEdit: (credential: Credential) => void;
  onSecret: (secret: Secret) => void;
};

export function CredentialTable(properties: Properties) {
  const { credentials, loading, hasMore, loadingMore, allowed, onMore, onEdit, onSecret } = properties;
  const { t } = useTranslation(['credentials', 'common']);
  const [deleting, setDeleting] = useState<Credential | null>(null);
  const columns: TableColumnsType<Credential> = [
    {
      title: t('username'), key: 'username', render: (_, { username, labels, has_secondary: two }) => (
        <>
          <strong className="mono long">{username}</strong> {two && <Badge tone="accent">{t('twoSecrets')}</Badge>}
          <div><LabelWords labels={labels} /></div>
        </>
      ),
    },
    {
      title: t('common:state'), key: 'state',
      render: (_, { state }) => <Status tone={state === 'enabled' ? 'ok' : 'bad'}>{t(`states.${state}`)}</Status>,
    },
    {
      title: t('client'), key: 'client', responsive: ['md'],
      render: (_, { client_id: id }) => (id == null ? <span className="soft">{t('anyClient')}</span> : <span className="mono long">{id}</span>),
    },
    { title: t('grants'), key: 'grants', responsive: ['lg'], render: (_, { grants }) => <GrantWords grants={grants} /> },
    {
      title: t('common:createdAt'), key: 'created', responsive: ['lg'],
      render: (_, { created_at }) => <Time at={created_at} style="relative" />,
    },
    {
      key: 'actions', align: 'end', render: (_, credential) => (
        <Actions credential={credential} allowed={allowed} onEdit={onEdit} onSecret={onSecret} onDelete={setDeleting} />
      ),
    },
  ];
  return (
    <>
      <Table rowKey="id" size="middle" columns={columns} dataSource={credentials} loading={loading} pagination={false} />
      {hasMore && (
        <div className="load-more"><Button loading={loadingMore} onClick={onMore}>{t('common:loadMore')}</Button></div>
      )}
      <DeleteCredential credential={deleting} onClose={() => setDeleting(null)} />
    </>
  );
}

type ActionProperties = {
  credential: Credential;
  allowed: boolean;
  onEdit: (credential: Credential) => void;
  onSecret: (secret: Secret) => void;
  onDelete: (credential: Credential) => void;
};

function Actions({ credential, allowed, onEdit, onSecret, onDelete }: ActionProperties) {
  const { t } = useTranslation(['credentials', 'common']);
  const { busy, toggle, rotate } = useCredentialVerbs(credential, onSecret);
  const items: MenuProps['items'] = [
    { key: 'edit', label: t('common:edit'), onClick: () => onEdit(credential) },
    { key: 'primary', label: t('rotatePrimary'), onClick: () => rotate('primary') },
    { key: 'secondary', label: t('rotateSecondary'), onClick: () => rotate('secondary') },
    { key: 'toggle', label: t(credential.state === 'enabled' ? 'disable' : 'enable'), onClick: toggle },
    { type: 'divider' },
    { key: 'delete', label: t('common:delete'), danger: true, onClick: () => onDelete(credential) },
  ];
  return (
    <Dropdown menu={{ items }} trigger={['click']} disabled={!allowed} placement="bottomRight">
      <Button type="text" size="small" icon={<MoreOutlined />} loading={busy}
        aria-label={`${t('common:actions')} ${credential.username}`} />
    </Dropdown>
  );
}
