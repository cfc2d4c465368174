/** The one bar of the query: topic or filter, client, message ID, time. */
import { PauseCircleOutlined, PlayCircleOutlined, SearchOutlined } from '@ant-design/icons';
import { AutoComplete, Button, Form, Input, Select, Tooltip } from 'antd';
import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { topicsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { RangePicker } from '../../ui/range-picker';
import type { Range } from '../../util/range';
import type { Criteria } from './query';

type Properties = {
  criteria: Criteria;
  range: Range;
  busy: boolean;
  follow: boolean;
  onAsk: (criteria: Criteria) => void;
  onRange: (range: Range) => void;
  onFollow: (follow: boolean) => void;
};

export function Bar({ criteria, range, busy, follow, onAsk, onRange, onFollow }: Properties) {
  const { t } = useTranslation('messages');
  const { id: instanceId } = useInstance();
  const topics = useQuery(topicsQuery(instanceId));
  const [form] = Form.useForm<Criteria>();
  useEffect(() => form.setFieldsValue(criteria), [criteria, form]);
  const filters = (topics.data?.items ?? []).filter(({ history }) => history.enabled).map(({ name }) => `${name}/#`);
  const mayFollow = range.kind === 'live' && criteria.order === 'newest';
  return (
    <Form<Criteria> form={form} className="query-bar" initialValues={criteria}
      onFinish={(values) => onAsk({ ...criteria, ...values })}>
      <Form.Item name="filter" noStyle>
        <AutoComplete options={filters.map((value) => ({ value }))} className="mono" allowClear
          onSelect={(filter: string) => onAsk({ ...criteria, ...form.getFieldsValue(), filter })}
          placeholder={t('filter')} aria-label={t('filter')} />
      </Form.Item>
      <Form.Item name="clientId" noStyle>
        <Input allowClear placeholder={t('client')} aria-label={t('client')} autoComplete="off" />
      </Form.Item>
      <Form.Item name="id" noStyle>
        <Input allowClear placeholder={t('id')} aria-label={t('id')} autoComplete="off" className="mono" />
      </Form.Item>
      <Form.Item name="order" noStyle>
        <Select aria-label={t('order')} onChange={(order) => onAsk({ ...criteria, ...form.getFieldsValue(), order })}
          options={[{ value: 'newest', label: t('newest') }, { value: 'oldest', label: t('oldest') }]} />
      </Form.Item>
      <RangePicker value={range} onChange={onRange} />
      <Tooltip title={mayFollow ? t('followMeaning') : t('followOnlyLive')}>
        <Button icon={follow ? <PauseCircleOutlined /> : <PlayCircleOutlined />} disabled={!mayFollow}
          aria-pressed={follow} onClick={() => onFollow(!follow)}>
          {follow ? t('pause') : t('follow')}
        </Button>
      </Tooltip>
      <Button type="primary" htmlType="submit" icon={<SearchOutlined />} loading={busy && !follow}>{t('search')}</Button>
    </Form>
  );
}
