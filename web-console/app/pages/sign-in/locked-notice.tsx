/** How long to wait after too many failed attempts, counted down. */
import { Alert } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { ApiError } from '../../api/errors';
import { useFormat } from '../../ui/language';
import { useNow } from '../../ui/now';

export function LockedNotice({ error }: { error: ApiError }) {
  const { t } = useTranslation('signIn');
  const { duration } = useFormat();
  const now = useNow('second');
  const [until] = useState(() => Date.now() + (error.retryAfterSecs ?? 60) * 1000);
  const left = Math.ceil((until - now) / 1000);
  return left > 0
    ? <Alert type="warning" showIcon title={t('lockedTitle')} description={t('lockedText', { wait: duration(left) })} />
    : <Alert type="info" showIcon title={t('lockedOver')} />;
}
