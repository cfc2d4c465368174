/** The signed-in person: password, help, sign out. */
import { UserOutlined } from '@ant-design/icons';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Button, Dropdown } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, call } from '../api/client';
import { sessionQuery } from '../api/queries';
import { useErrorToast } from '../ui/error';
import { ChangePassword } from './change-password';

export function MeMenu() {
  const { t } = useTranslation('layout');
  const client = useQueryClient();
  const navigate = useNavigate();
  const toast = useErrorToast();
  const [changing, setChanging] = useState(false);
  const { data: session } = useQuery(sessionQuery);
  const signOut = async () => {
    try {
      await call(api.DELETE('/v1/session'));
      client.clear();
      await navigate({ to: '/sign-in' });
    } catch (thrown) {
      toast(thrown);
    }
  };
  const items = [
    {
      key: 'who', disabled: true, label: (
        <div className="me-who">
          <strong>{session?.member.name}</strong>
          <span>{session?.member.email}</span>
          {session?.member.operator && <span>{t('operator')}</span>}
        </div>
      ),
    },
    { type: 'divider' as const },
    { key: 'password', label: t('changePassword'), onClick: () => setChanging(true) },
    { key: 'docs', label: <a href="/docs" target="_blank" rel="noreferrer">{t('documentation')}</a> },
    { key: 'api', label: <a href="/docs/api" target="_blank" rel="noreferrer">{t('apiReference')}</a> },
    { type: 'divider' as const },
    { key: 'out', label: t('signOut'), onClick: () => void signOut() },
  ];
  return (
    <>
      <Dropdown trigger={['click']} menu={{ items }}>
        <Button type="text" icon={<UserOutlined />} aria-label={`${t('me')}: ${session?.member.name ?? ''}`} />
      </Dropdown>
      <ChangePassword open={changing} onClose={() => setChanging(false)} />
    </>
  );
}
