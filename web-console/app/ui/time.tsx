/** A moment: as it stands in a table, or relative to now; a click changes all times between local and UTC. */
import { Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import type { TimeStyle } from '../util/format';
import { prefer } from '../util/preferences';
import { useFormat } from './language';
import { useNow } from './now';
import './time.css';

type Properties = { at: string | Date | null | undefined; style?: TimeStyle | 'relative' };

export function Time({ at, style = 'full' }: Properties) {
  const { t } = useTranslation();
  const { time, relative, utc } = useFormat();
  const now = useNow();
  if (at === null || at === undefined) return <span className="soft">–</span>;
  const moment = new Date(at);
  const text = style === 'relative' ? relative(moment.getTime(), now) : time(moment, style);
  const hint = (
    <>
      {time(moment, 'millis')}
      <br />
      {utc ? t('switchToLocal') : t('switchToUtc')}
    </>
  );
  return (
    <Tooltip title={hint}>
      <button type="button" className="time numbers" onClick={(event) => {
        event.stopPropagation();
        prefer({ utc: !utc });
      }}>
        <time dateTime={moment.toISOString()}>{text}</time>
      </button>
    </Tooltip>
  );
}

/** A moment in little room, by its day. Nothing to click: what it stands in is. */
export function DayTime({ at }: { at: string }) {
  const { dayTime } = useFormat();
  const now = useNow();
  return <time className="numbers" dateTime={at}>{dayTime(new Date(at), now)}</time>;
}
