/** Every limit of the instance, with its use where that is counted. */
import { useQuery } from '@tanstack/react-query';
import { Progress, Table, type TableColumnsType, Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { limitsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { useFormat } from '../../ui/language';
import { Loaded } from '../../ui/loaded';
import { Panel } from '../../ui/page';

type Limit = Schema<'InstanceLimit'>;

export function LimitTable() {
  const { t } = useTranslation('instances');
  const { id } = useInstance();
  const { number, bytes } = useFormat();
  const query = useQuery(limitsQuery(id));
  const text = (value: number, unit: string) => (/^bytes/.test(unit) ? bytes(value) : number(value));
  const columns: TableColumnsType<Limit> = [
    {
      title: t('limit'), key: 'name',
      render: (_, { name, description }) => <Tooltip title={description}><code className="limit-name">{name}</code></Tooltip>,
    },
    {
      title: t('used'), key: 'used', align: 'end', render: (_, { used, value, unit }) => used == null ? '–' : (
        <span className="row numbers" style={{ justifyContent: 'flex-end', flexWrap: 'nowrap' }}>
          {text(used, unit)}
          <Progress className="limit-bar" percent={Math.min(100, (100 * used) / value)} showInfo={false} size="small" />
        </span>
      ),
    },
    {
      title: t('value'), key: 'value', align: 'end',
      render: (_, { value, unit }) => <span className="numbers">{text(value, unit)}</span>,
    },
  ];
  return (
    <Panel title={t('limits')} flush>
      <Loaded query={query}>
        {({ items }) => <Table rowKey="name" size="small" columns={columns} dataSource={items} pagination={false} />}
      </Loaded>
    </Panel>
  );
}
