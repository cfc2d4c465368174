/** One sentence of state. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { rolloutQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { Status } from '../../ui/status';
import { stateOf } from './state-of';

const TONES = {
  healthy: 'ok', applying: 'accent', unreachable: 'warn', noNode: 'bad', suspended: 'bad',
} as const;

export function StateSentence() {
  const { t } = useTranslation('overview');
  const { id, state } = useInstance();
  const { data } = useQuery(rolloutQuery(id));
  if (data === undefined && state === 'running') return <span>&nbsp;</span>;
  const kind = stateOf(state, data);
  const values = {
    applied: String(data?.applied ?? 0), reachable: String(data?.reachable ?? 0), count: data?.unreachable ?? 0,
  };
  return <Status tone={TONES[kind]}><span style={{ whiteSpace: 'normal' }}>{t(`state.${kind}`, values)}</span></Status>;
}
