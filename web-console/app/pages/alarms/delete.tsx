/** Deleting a rule. */
import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ConfirmByName } from '../../ui/confirm';
import type { Rule } from './queries';

export function DeleteRule({ rule, onClose }: { rule: Rule | null; onClose: () => void }) {
  const { t } = useTranslation(['alarms', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const remove = async () => {
    if (rule === null) return;
    await call(api.DELETE('/v1/instances/{instance_id}/alarm-rules/{alarm_rule_id}', {
      params: { path: { instance_id: instanceId, alarm_rule_id: rule.id } },
    }));
    await client.invalidateQueries({ predicate: ({ queryKey: [kind] }) => kind === 'alarm-rules' || kind === 'alarms' });
    message.success(t('common:deleted'));
  };
  const name = rule?.name ?? '';
  return (
    <ConfirmByName open={rule !== null} title={t('deleteRuleTitle', { name })} name={name} onConfirm={remove} onClose={onClose}>
      {t('deleteRuleText')}
    </ConfirmByName>
  );
}
