/** The time range of a page: presets that stay live, or two fixed moments. */
import { ClockCircleOutlined } from '@ant-design/icons';
import { Button, DatePicker, Popover } from 'antd';
import dayjs, { type Dayjs } from 'dayjs';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { PRESETS, type Range } from '../util/range';
import { useFormat } from './language';
import './range-picker.css';

type Properties = { value: Range; onChange: (range: Range) => void };

export function RangePicker({ value, onChange }: Properties) {
  const { t } = useTranslation();
  const { time } = useFormat();
  const [open, setOpen] = useState(false);
  const choose = (range: Range) => {
    setOpen(false);
    onChange(range);
  };
  const text = value.kind === 'live'
    ? t('range.last', { span: t(`range.${value.preset}`) })
    : `${time(value.from, 'minute')} – ${time(value.to, 'minute')}`;
  return (
    <Popover
      open={open}
      onOpenChange={setOpen}
      trigger="click"
      placement="bottomRight"
      content={<Choices value={value} onChoose={choose} />}
    >
      <Button icon={<ClockCircleOutlined />} aria-label={`${t('range.label')}: ${text}`}>{text}</Button>
    </Popover>
  );
}

function Choices({ value, onChoose }: { value: Range; onChoose: (range: Range) => void }) {
  const { t } = useTranslation();
  const fixed = value.kind === 'fixed' ? value : null;
  const [from, setFrom] = useState<Dayjs | null>(fixed === null ? null : dayjs(fixed.from));
  const [to, setTo] = useState<Dayjs | null>(fixed === null ? null : dayjs(fixed.to));
  const good = from !== null && to !== null && from.isBefore(to);
  return (
    <div className="range">
      <div className="range-presets">
        {PRESETS.map((preset) => (
          <Button
            key={preset}
            size="small"
            type={value.kind === 'live' && value.preset === preset ? 'primary' : 'default'}
            onClick={() => onChoose({ kind: 'live', preset })}
          >
            {t(`range.${preset}`)}
          </Button>
        ))}
      </div>
      <div className="range-own">
        <span className="soft">{t('range.own')}</span>
        <DatePicker showTime value={from} onChange={setFrom} placeholder={t('range.from')} aria-label={t('range.from')} />
        <DatePicker showTime value={to} onChange={setTo} placeholder={t('range.to')} aria-label={t('range.to')} />
        <Button
          type="primary"
          disabled={!good}
          onClick={() => good && onChoose({ kind: 'fixed', from: from.toDate(), to: to.toDate() })}
        >
          {t('range.apply')}
        </Button>
      </div>
    </div>
  );
}
