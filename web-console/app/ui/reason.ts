/** The words for a reason of the broker; its name where it is newer than this console. */
import { useTranslation } from 'react-i18next';

export function useReasonWords() {
  const { t, i18n } = useTranslation('reasons');
  const known = (key: string) => i18n.exists(key, { ns: 'reasons' });
  return {
    /** Every reason that this console has words for. */
    list: (metric: 'refused' | 'dropped'): string[] =>
      Object.keys(t(metric, { returnObjects: true })),
    title: (metric: 'refused' | 'dropped', reason: string): string =>
      known(`${metric}.${reason}`) ? t(`${metric}.${reason}` as 'unknown') : reason,
    fix: (reason: string): string | null => (known(`fix.${reason}`) ? t(`fix.${reason}` as 'unknown') : null),
  };
}
