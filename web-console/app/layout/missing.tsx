/** An address that leads nowhere, and a page that failed. */
import { CompassOutlined, TeamOutlined } from '@ant-design/icons';
import { Link, useRouter } from '@tanstack/react-router';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { EmptyState } from '../ui/empty';
import { ErrorNotice } from '../ui/error';

export function PageMissing() {
  const { t } = useTranslation();
  return (
    <EmptyState icon={<CompassOutlined />} title={t('notFoundTitle')} actions={<Link to="/"><Button>{t('toStart')}</Button></Link>}>
      {t('notFoundText')}
    </EmptyState>
  );
}

/** Somebody who belongs to no tenant. */
export function NoTenant() {
  const { t } = useTranslation('layout');
  return <EmptyState icon={<TeamOutlined />} title={t('noTenantTitle')}>{t('noTenantText')}</EmptyState>;
}

export function PageFailed({ error }: { error: unknown }) {
  const router = useRouter();
  return (
    <div className="page">
      <ErrorNotice error={error} onRetry={() => void router.invalidate()} />
    </div>
  );
}
