/** Alarms: those that fire, what has been, and the rules behind them. */
import { PlusOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Button, Tabs, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useInstance, usePermission } from '../../layout/instance';
import { useAddress } from '../../ui/address';
import { Page } from '../../ui/page';
import { AlarmList } from './alarm-list';
import { type Rule, rulesQuery } from './queries';
import { RuleForm } from './rule-form';
import { RuleList } from './rule-list';

const TABS = ['open', 'resolved', 'rules'] as const;

export default function AlarmsPage() {
  const { t } = useTranslation('alarms');
  const { id: instanceId } = useInstance();
  const { allowed, reason } = usePermission('alarms:write');
  const [{ tab }, change] = useAddress();
  const [editing, setEditing] = useState<Rule | 'new' | null>(null);
  const rules = useQuery(rulesQuery(instanceId));
  const create = (
    <Tooltip title={reason}>
      <Button type="primary" icon={<PlusOutlined />} disabled={!allowed} onClick={() => setEditing('new')}>
        {t('createRule')}
      </Button>
    </Tooltip>
  );
  const active = TABS.find((name) => name === tab) ?? 'open';
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={create}>
      <Tabs activeKey={active} onChange={(key) => change({ tab: key === 'open' ? undefined : key })}
        items={[
          { key: 'open', label: t('tabs.open'), children: <AlarmList shown="open" rules={rules.data?.items} create={create} /> },
          { key: 'resolved', label: t('tabs.resolved'), children: <AlarmList shown="resolved" rules={rules.data?.items} create={create} /> },
          {
            key: 'rules', label: t('tabs.rules', { count: rules.data?.items.length ?? 0 }),
            children: <RuleList query={rules} create={create} allowed={allowed} onEdit={setEditing} />,
          },
        ]} />
      <RuleForm rule={editing} onClose={() => setEditing(null)} />
    </Page>
  );
}
