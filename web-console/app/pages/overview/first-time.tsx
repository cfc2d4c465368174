/** The way to the first message, for an instance that has seen none. */
import { RocketOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { metricsQuery } from '../../api/metrics';
import { useInstance } from '../../layout/instance';
import { total, valuesOf } from '../../util/series';

export function FirstTime() {
  const { t } = useTranslation('overview');
  const { id } = useInstance();
  const { data } = useQuery({ ...metricsQuery(id, { kind: 'live', preset: '7d' }), refetchInterval: 60_000 });
  if (data === undefined || (total(valuesOf(data, 'messages_in')) ?? 0) > 0) return null;
  return (
    <div className="first-time">
      <div>
        <h2>{t('firstTime.title')}</h2>
        <p>{t('firstTime.text')}</p>
      </div>
      <Link to="/instances/$instanceId/get-started" params={{ instanceId: id }}>
        <Button type="primary" icon={<RocketOutlined />}>{t('firstTime.start')}</Button>
      </Link>
    </div>
  );
}
