/** The first step: which topic the demo uses, the token, what it may do and how long it is good. */
import { useQuery } from '@tanstack/react-query';
import { Alert, Button, Form, Select, Tooltip } from 'antd';
import { useTranslation } from 'react-i18next';
import { topicsQuery } from '../../api/queries';
import { useInstance, usePermission } from '../../layout/instance';
import { CopyButton } from '../../ui/copy';
import { useFormat } from '../../ui/language';
import { useNow } from '../../ui/now';
import { Badge } from '../../ui/status';
import type { Demo } from './demo';

/** The topic of a demo where none is chosen. */
const DEMO_TOPIC = 'demo';

type FormProperties = {
  busy: boolean; topic: string | null; onTopic: (topic: string) => void; onIssue: (topic: string) => Promise<void>;
};

export function IssueForm({ busy, topic, onTopic, onIssue }: FormProperties) {
  const { t } = useTranslation('start');
  const instance = useInstance();
  const { allowed, reason } = usePermission('tokens:issue');
  const { data, isPending } = useQuery(topicsQuery(instance.id));
  const names = (data?.items ?? []).map(({ name }) => name);
  const options = [
    ...(names.includes(DEMO_TOPIC) ? [] : [{
      value: DEMO_TOPIC,
      label: instance.topic_mode === 'open' ? DEMO_TOPIC : t('issue.newTopic', { topic: DEMO_TOPIC }),
    }]),
    ...names.map((name) => ({ value: name, label: name })),
  ];
  const chosen = topic ?? DEMO_TOPIC;
  if (!instance.authentication.includes('token')) return <Alert type="warning" title={t('issue.noToken')} />;
  return (
    <Form layout="vertical" onFinish={() => void onIssue(chosen)} requiredMark={false}>
      <Form.Item label={t('issue.topic')} htmlFor="demo-topic" extra={t('issue.topicHelp')} style={{ marginBottom: 12 }}>
        <Select id="demo-topic" value={chosen} options={options} loading={isPending} onChange={onTopic} showSearch />
      </Form.Item>
      <Tooltip title={reason}>
        <Button type="primary" htmlType="submit" block loading={busy} disabled={!allowed}>{t('issue.action')}</Button>
      </Tooltip>
    </Form>
  );
}

export function TokenFacts({ demo, busy, onAgain }: { demo: Demo; busy: boolean; onAgain: () => void }) {
  const { t } = useTranslation('start');
  const { duration } = useFormat();
  const now = useNow('second');
  const left = (new Date(demo.device.expires_at).getTime() - now) / 1000;
  return (
    <>
      <p>{t('steps.tokenDone')} <code>{demo.device.client_id}</code></p>
      <p>{t('issue.scope', { topic: `${demo.topic}/` })}</p>
      <p className="numbers">
        <Badge tone={left > 0 ? 'ok' : 'bad'}>
          {left > 0 ? t('issue.expiresIn', { span: duration(left) }) : t('issue.expired')}
        </Badge>
      </p>
      <div className="row">
        <CopyButton text={demo.device.token} label={t('issue.copy')} withText />
        <Button size="small" type="text" loading={busy} onClick={onAgain}>{t('issue.again')}</Button>
      </div>
    </>
  );
}
