/** Limits above half, fullest first. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { limitsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { useFormat } from '../../ui/language';
import { Loaded } from '../../ui/loaded';
import { Panel } from '../../ui/page';
import type { Chart } from '../../util/series';
import { limitUse, type Use } from './limit-use';

const NEAR = 0.5;
const WARN = 0.8;
const FULL = 0.95;

export function LimitPanel({ chart }: { chart: Chart }) {
  const { t } = useTranslation('overview');
  const { id } = useInstance();
  const query = useQuery(limitsQuery(id));
  const all = (
    <Link to="/instances/$instanceId/settings" params={{ instanceId: id }}>{t('limits.all')}</Link>
  );
  return (
    <Panel title={t('limits.title')} extra={all}>
      <Loaded query={query}>{({ items }) => <Uses uses={limitUse(items, chart)} />}</Loaded>
    </Panel>
  );
}

function Uses({ uses }: { uses: Use[] }) {
  const { t } = useTranslation('overview');
  const { compact, bytes, language } = useFormat();
  const near = uses.filter(({ share }) => share > NEAR);
  const [fullest] = uses;
  const percent = (share: number) =>
    new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: share < 0.1 ? 1 : 0 }).format(share);
  if (near.length === 0) {
    return (
      <p className="soft" style={{ margin: 0 }}>
        {fullest === undefined || fullest.share === 0
          ? t('limits.unused')
          : t('limits.allBelow', { name: fullest.name, percent: percent(fullest.share) })}
      </p>
    );
  }
  return (
    <ul className="bars">
      {near.map(({ name, unit, value, used, share, peak }) => {
        const text = /^bytes/.test(unit) ? bytes : compact;
        const tone = share >= FULL ? 'bar-bad' : share >= WARN ? 'bar-warn' : '';
        return (
          <li key={name}>
            <div className="bar-head">
              <span><code>{name}</code>{peak && <span className="soft"> {t('limits.peak')}</span>}</span>
              <span className="numbers">
                {t('limits.of', { used: text(used), value: text(value) })} · {percent(share)}
              </span>
            </div>
            <div className="bar-track"><i className={tone} style={{ width: `${Math.min(100, share * 100)}%` }} /></div>
          </li>
        );
      })}
    </ul>
  );
}
