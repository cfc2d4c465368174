/** The topics of an instance: the first levels that may be published to, and the rules of each. */
import { PlusOutlined, TagsOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Alert, Button, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { topicsQuery } from '../../api/queries';
import { useInstance, usePermission } from '../../layout/instance';
import { EmptyState } from '../../ui/empty';
import { Loaded } from '../../ui/loaded';
import { Page, Panel } from '../../ui/page';
import { DeleteTopic } from './delete';
import { TopicForm } from './form';
import { TopicTable } from './table';

type Topic = Schema<'Topic'>;

/** What is open: nothing, a new topic, or one that is changed. */
type Editing = null | 'new' | Topic;

const EXAMPLES = ['vehicle/car-001/up/gps', 'home/4711/kitchen/lamp/state', 'line/press-7/telemetry/temperature'];

export default function TopicsPage() {
  const { t } = useTranslation('topics');
  const instance = useInstance();
  const { allowed, reason } = usePermission('topics:write');
  const query = useQuery(topicsQuery(instance.id));
  const [editing, setEditing] = useState<Editing>(null);
  const [deleting, setDeleting] = useState<Topic | null>(null);
  const create = (
    <Tooltip title={reason}>
      <Button type="primary" icon={<PlusOutlined />} disabled={!allowed} onClick={() => setEditing('new')}>
        {t('create')}
      </Button>
    </Tooltip>
  );
  return (
    <Page title={t('title')} sentence={t('sentence')} actions={create}>
      {instance.topic_mode === 'open' && (
        <Alert type="info" showIcon title={t('openMode')} action={<SettingsLink label={t('toSettings')} />} />
      )}
      <Panel flush>
        <Loaded query={query}>
          {({ items }) => items.length === 0
            ? (
              <EmptyState icon={<TagsOutlined />} title={t('emptyTitle')} actions={create}>
                <p>{t('emptyText')}</p>
                {EXAMPLES.map((example) => <div key={example}><code>{example}</code></div>)}
                {instance.topic_mode === 'provisioned' && (
                  <p>{t('emptyOr')} <SettingsLink label={t('toSettings')} /></p>
                )}
              </EmptyState>
            )
            : <TopicTable topics={items} allowed={allowed} onEdit={setEditing} onDelete={setDeleting} />}
        </Loaded>
      </Panel>
      <TopicForm topic={editing} onClose={() => setEditing(null)} />
      <DeleteTopic topic={deleting} onClose={() => setDeleting(null)} />
    </Page>
  );
}

function SettingsLink({ label }: { label: string }) {
  const { id } = useInstance();
  return <Link to="/instances/$instanceId/settings" params={{ instanceId: id }}>{label}</Link>;
}
