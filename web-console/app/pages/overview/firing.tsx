/** The alarms that fire now; nothing where none does. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { firingQuery } from '../../api/alarms';
import { useInstance } from '../../layout/instance';
import { useFormat } from '../../ui/language';
import { Panel } from '../../ui/page';
import { Badge } from '../../ui/status';
import { Time } from '../../ui/time';

const TONES = { info: 'accent', warning: 'warn', critical: 'bad' } as const;
const SHOWN_MAX = 5;

export function Firing() {
  const { t } = useTranslation(['overview', 'common']);
  const { id } = useInstance();
  const { compact } = useFormat();
  const { data } = useQuery(firingQuery(id));
  const alarms = data?.items ?? [];
  if (alarms.length === 0) return null;
  return (
    <Panel title={t('state.alarms', { count: alarms.length })} flush className="panel-bad">
      <ul className="firing">
        {alarms.slice(0, SHOWN_MAX).map((alarm) => (
          <li key={alarm.id}>
            <Badge tone={TONES[alarm.severity]}>{t(`common:severity.${alarm.severity}`)}</Badge>
            <strong>{alarm.rule_name}</strong>
            <span className="soft">
              {t('firingValue', {
                value: compact(alarm.value), threshold: compact(alarm.threshold),
              })}
            </span>
            <Time at={alarm.fired_at} style="relative" />
          </li>
        ))}
      </ul>
    </Panel>
  );
}
