/** Nodes that could not be asked, by name and with the reason, as part of a sentence. */
import { useTranslation } from 'react-i18next';
import type { Schema } from '../api/client';

export function useMissingNodes(): (missing: readonly Schema<'MissingNode'>[]) => string {
  const { t } = useTranslation();
  return (missing) => missing
    .map(({ name, reason }) => t('missingNode', { name, reason: t(`missing.${reason}`) })).join(t('missingSeparator'));
}
