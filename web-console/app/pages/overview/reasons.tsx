/** Refusals or drops of the range by reason, most first; for a refusal what to do about it. */
import { Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import { useFormat } from '../../ui/language';
import { Panel } from '../../ui/page';
import { useReasonWords } from '../../ui/reason';
import { byReason, type Chart } from '../../util/series';

const SHOWN_MAX = 8;

export function ReasonPanel({ chart, metric }: { chart: Chart; metric: 'refused' | 'dropped' }) {
  const { t } = useTranslation('overview');
  const { compact } = useFormat();
  const words = useReasonWords();
  const reasons = byReason(chart, metric).slice(0, SHOWN_MAX);
  const most = reasons[0]?.count ?? 1;
  const title = metric === 'refused' ? t('refused.title') : t('refused.dropped');
  const none = metric === 'refused' ? t('refused.none') : t('refused.droppedNone');
  return (
    <Panel title={title}>
      {reasons.length === 0 ? <p className="soft" style={{ margin: 0 }}>{none}</p> : (
        <ul className="bars">
          {reasons.map(({ reason, count }) => (
            <li key={reason}>
              <Tooltip title={metric === 'refused' ? words.fix(reason) : null}>
                <div className="bar-head" tabIndex={0}>
                  <span>{words.title(metric, reason)}</span><span className="numbers">{compact(count)}</span>
                </div>
              </Tooltip>
              <div className="bar-track"><i style={{ width: `${(100 * count) / most}%` }} /></div>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
