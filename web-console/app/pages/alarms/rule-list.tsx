/** The rules, each with its state. */
import { BellOutlined, DeleteOutlined, EditOutlined } from '@ant-design/icons';
import { type UseQueryResult, useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Switch, Table, type TableColumnsType, Tooltip } from 'antd';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, call, type Schema } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { EmptyState } from '../../ui/empty';
import { useErrorToast } from '../../ui/error';
import { useFormat } from '../../ui/language';
import { Loaded } from '../../ui/loaded';
import { Panel } from '../../ui/page';
import { Badge, Status } from '../../ui/status';
import { SEVERITY_TONES } from './alarm-list';
import { DeleteRule } from './delete';
import type { Rule } from './queries';
import { useConditionWords } from './words';

const STATE_TONES = { ok: 'ok', pending: 'warn', firing: 'bad', no_data: 'idle' } as const;

type Properties = {
  query: UseQueryResult<Schema<'AlarmRuleList'>>;
  create: ReactNode;
  allowed: boolean;
  onEdit: (rule: Rule) => void;
};

export function RuleList({ query, create, allowed, onEdit }: Properties) {
  const { t } = useTranslation('alarms');
  const [deleting, setDeleting] = useState<Rule | null>(null);
  const columns = useColumns(allowed, onEdit, setDeleting);
  return (
    <Panel flush>
      <Loaded query={query}>
        {({ items }) => items.length === 0
          ? <EmptyState icon={<BellOutlined />} title={t('noRules')} actions={create}>{t('noRulesText')}</EmptyState>
          : <Table rowKey="id" size="middle" columns={columns} dataSource={items} pagination={false} />}
      </Loaded>
      <DeleteRule rule={deleting} onClose={() => setDeleting(null)} />
    </Panel>
  );
}

function useColumns(allowed: boolean, onEdit: (rule: Rule) => void, onDelete: (rule: Rule) => void): TableColumnsType<Rule> {
  const { t } = useTranslation(['alarms', 'common']);
  const { number } = useFormat();
  const words = useConditionWords();
  return [
    {
      title: t('common:name'), key: 'name', render: (_, rule) => (
        <>
          <strong className="long">{rule.name}</strong> <Badge tone={SEVERITY_TONES[rule.severity]}>{t(`common:severity.${rule.severity}`)}</Badge>
          <div className="soft">{words(rule.condition, rule.for_secs)}</div>
        </>
      ),
    },
    {
      title: t('common:state'), key: 'state', render: (_, { state, enabled }) => enabled
        ? <Status tone={STATE_TONES[state]}>{t(`ruleStates.${state}`)}</Status>
        : <Status tone="idle">{t('off')}</Status>,
    },
    {
      title: t('lastValue'), key: 'value', responsive: ['md'],
      render: (_, { value }) => <span className="numbers">{value == null ? '–' : number(value)}</span>,
    },
    { title: t('enabled'), key: 'enabled', responsive: ['sm'], render: (_, rule) => <EnabledSwitch rule={rule} allowed={allowed} /> },
    {
      key: 'actions', align: 'end', render: (_, rule) => (
        <span style={{ whiteSpace: 'nowrap' }}>
          <Tooltip title={t('common:edit')}>
            <Button type="text" size="small" icon={<EditOutlined />} disabled={!allowed}
              aria-label={`${t('common:edit')} ${rule.name}`} onClick={() => onEdit(rule)} />
          </Tooltip>
          <Tooltip title={t('common:delete')}>
            <Button type="text" size="small" icon={<DeleteOutlined />} disabled={!allowed}
              aria-label={`${t('common:delete')} ${rule.name}`} onClick={() => onDelete(rule)} />
          </Tooltip>
        </span>
      ),
    },
  ];
}

function EnabledSwitch({ rule, allowed }: { rule: Rule; allowed: boolean }) {
  const { t } = useTranslation('alarms');
  const client = useQueryClient();
  const toast = useErrorToast();
  const { id: instanceId } = useInstance();
  const toggle = useMutation({
    mutationFn: (enabled: boolean) => call(api.PATCH('/v1/instances/{instance_id}/alarm-rules/{alarm_rule_id}', {
      params: { path: { instance_id: instanceId, alarm_rule_id: rule.id } }, body: { enabled },
    })),
    onSettled: () => client.invalidateQueries({ queryKey: ['alarm-rules', instanceId] }),
    onError: toast,
  });
  return (
    <Switch size="small" checked={rule.enabled} disabled={!allowed} loading={toggle.isPending}
      aria-label={`${t('enabled')} ${rule.name}`} onChange={(enabled) => toggle.mutate(enabled)} />
  );
}
