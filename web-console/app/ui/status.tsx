/** A state as a dot and a word: never colour alone. */
import { Tooltip } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import './status.css';

export type Tone = 'ok' | 'warn' | 'bad' | 'idle' | 'accent';

export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`status status-${tone}`}><i aria-hidden="true" />{children}</span>;
}

/** A short word on a soft ground. */
export function Badge({ tone = 'idle', children }: { tone?: Tone; children: ReactNode }) {
  return <span className={`badge badge-${tone}`}>{children}</span>;
}

/** `applied 3/3`, as a write that waited has answered. */
export function AppliedBadge({ applied }: { applied: string | null }) {
  const { t } = useTranslation();
  if (applied === null) return null;
  const [done, all] = applied.split('/');
  return (
    <Tooltip title={t('appliedMeaning')}>
      <span><Badge tone={done === all ? 'ok' : 'warn'}>{t('applied', { applied })}</Badge></span>
    </Tooltip>
  );
}
