/** What an answer does not cover: nodes that could not be asked, and what stood in damaged places. */
import { Alert } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { useMissingNodes } from '../../ui/missing-nodes';

export function CoverageNotice({ coverage }: { coverage: Schema<'MessageCoverage'> }) {
  const { t } = useTranslation('messages');
  const named = useMissingNodes();
  if (coverage.complete) return null;
  const nodes = named(coverage.missing);
  return (
    <Alert type="warning" showIcon title={t('incomplete')}
      description={nodes === '' ? t('damaged') : t('missingNodes', { nodes })} />
  );
}
