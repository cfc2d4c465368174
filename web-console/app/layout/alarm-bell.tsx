/** How many alarms of the instance are firing. */
import { BellOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Badge, Button, Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import { firingQuery } from '../api/alarms';

export function AlarmBell({ instanceId }: { instanceId: string }) {
  const { t } = useTranslation('layout');
  const navigate = useNavigate();
  const { data } = useQuery(firingQuery(instanceId));
  const count = data?.items.length ?? 0;
  const text = count === 0 ? t('noAlarms') : t('alarmsFiring', { count });
  return (
    <Tooltip title={text}>
      <Badge count={count} size="small" offset={[-6, 6]}>
        <Button type="text" icon={<BellOutlined />} aria-label={text}
          onClick={() => void navigate({ to: `/instances/${instanceId}/alarms` as never })} />
      </Badge>
    </Tooltip>
  );
}
