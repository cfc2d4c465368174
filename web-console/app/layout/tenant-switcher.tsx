/** The tenant's name; a choice for those who belong to several. */
import { DownOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { Button, Dropdown } from 'antd';
import { useTranslation } from 'react-i18next';
import { sessionQuery, tenantsQuery } from '../api/queries';

export function TenantSwitcher({ tenantId }: { tenantId: string }) {
  const { t } = useTranslation('layout');
  const navigate = useNavigate();
  const { data: session } = useQuery(sessionQuery);
  const operator = session?.member.operator ?? false;
  const { data: all } = useQuery({ ...tenantsQuery, enabled: operator });
  const tenants = operator ? all?.items ?? session?.tenants ?? [] : session?.tenants ?? [];
  const name = tenants.find(({ id }) => id === tenantId)?.name ?? t('tenant');
  if (tenants.length < 2) {
    return (
      <Link className="header-tenant" to="/tenants/$tenantId/instances" params={{ tenantId }}>{name}</Link>
    );
  }
  const items = tenants.map((tenant) => ({ key: tenant.id, label: tenant.name }));
  const go = (id: string) => void navigate({ to: '/tenants/$tenantId/instances', params: { tenantId: id } });
  return (
    <Dropdown trigger={['click']} menu={{ items, selectedKeys: [tenantId], onClick: ({ key }) => go(key) }}>
      <Button type="text" className="header-tenant" aria-label={`${t('tenant')}: ${name}`}>
        <span className="cut">{name}</span><DownOutlined className="caret" />
      </Button>
    </Dropdown>
  );
}
