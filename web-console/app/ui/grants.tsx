/** Grants: as words in a list, and as rows of a form. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../api/client';
import { useFormat } from './language';
import './grants.css';

export type Grant = Schema<'Grant'>;

/** What a new row of the form holds. */
export const EMPTY_GRANT: Grant = { actions: ['publish', 'subscribe'], topic_filter: '', qos_max: 1, retain: false };

/** Stands in a sentence where the topic comes; no topic can contain it. */
const PLACE = '\u0000';

const ACTIONS = ['publish', 'subscribe', 'replay'] as const;

/** "may publish below vehicle/car-001/up" */
export function GrantWords({ grants }: { grants: readonly Grant[] }) {
  const { t } = useTranslation('grants');
  const { list } = useFormat();
  if (grants.length === 0) return <span className="soft">{t('nothing')}</span>;
  return (
    <ul className="grant-words">
      {grants.map(({ actions, topic_filter: filter }) => {
        const named = ACTIONS.filter((action) => actions.includes(action)).map((action) => t(`action.${action}`));
        const may = t('may', { actions: list(named) });
        const below = /^[^+#]+\/#$/.test(filter);
        const [before, after] = t(below ? 'below' : 'on', { may, topic: PLACE }).split(PLACE);
        return (
          <li key={`${actions.join()} ${filter}`}>
            {before}<code className="long">{below ? filter.slice(0, -2) : filter}</code>{after}
          </li>
        );
      })}
    </ul>
  );
}

/** The rows of a form's member `grants`; a row that is taken away takes its values along. */
export function GrantFields() {
  const { t } = useTranslation('grants');
  const options = ACTIONS.map((value) => ({ value, label: t(`action.${value}`) }));
  return (
    <Form.Item label={t('title')} extra={t('help')} required>
      <Form.List name="grants">
        {(fields, { add, remove }) => (
          <div className="stack">
            {fields.map(({ key, name }) => (
              <div key={key} className="grant-row">
                <Form.Item name={[name, 'actions']} noStyle preserve rules={[{ required: true, message: t('actionRequired') }]}>
                  <Select mode="multiple" options={options} aria-label={t('actions')} placeholder={t('actions')} />
                </Form.Item>
                <Form.Item name={[name, 'topic_filter']} style={{ marginBottom: 0 }} preserve
                  rules={[{ required: true, whitespace: true, message: t('filterRequired') }]}>
                  <Input className="mono" placeholder="vehicle/car-001/#" aria-label={t('filter')} autoComplete="off" />
                </Form.Item>
                <Form.Item name={[name, 'qos_max']} noStyle preserve>
                  <Select aria-label={t('qosMax')}
                    options={[0, 1, 2].map((value) => ({ value, label: `QoS ≤ ${value}` }))} />
                </Form.Item>
                <Button type="text" icon={<DeleteOutlined />} aria-label={t('remove')} disabled={fields.length === 1}
                  onClick={() => remove(name)} />
              </div>
            ))}
            <Button type="dashed" icon={<PlusOutlined />} onClick={() => add(EMPTY_GRANT)}>{t('add')}</Button>
          </div>
        )}
      </Form.List>
    </Form.Item>
  );
}
