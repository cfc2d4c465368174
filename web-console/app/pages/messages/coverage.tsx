/** What an answer does not cover: nodes that could not be asked, and what stood in damaged places. */
import { Alert } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';

export function CoverageNotice({ coverage }: { coverage: Schema<'MessageCoverage'> }) {
  const { t } = useTranslation('messages');
  if (coverage.complete) return null;
  const nodes = coverage.missing
    .map(({ name, reason }) => t('missingNode', { name, reason: t(`missing.${reason}`) })).join(t('missingSeparator'));
  return (
    <Alert type="warning" showIcon title={t('incomplete')}
      description={nodes === '' ? t('damaged') : t('missingNodes', { nodes })} />
  );
}
