/** Publishing from the browser, for those with no client at hand. */
import { SendOutlined } from '@ant-design/icons';
import { Button, Form, Input } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useErrorToast } from '../../ui/error';
import { Panel } from '../../ui/page';
import { Badge } from '../../ui/status';
import type { Demo } from './demo';
import type { LiveCheck } from './live-check';

type Values = { topic: string; payload: string };

export function TryPanel({ demo, live }: { demo: Demo | null; live: LiveCheck }) {
  const { t } = useTranslation('start');
  const toast = useErrorToast();
  const [busy, setBusy] = useState(false);
  const [millis, setMillis] = useState<number | null>(null);
  const ready = live.state.kind === 'listening';
  const publish = async ({ topic, payload }: Values) => {
    setBusy(true);
    try {
      setMillis(await live.publish(topic, payload));
    } catch (thrown) {
      toast(thrown);
    } finally {
      setBusy(false);
    }
  };
  const initial = { topic: `${demo?.topic ?? 'demo'}/browser`, payload: '{"hello":"world"}' };
  return (
    <Panel title={t('try.title')}>
      <p className="soft try-text">{t('try.text')}</p>
      <Form<Values> key={demo?.issuedAt ?? 0} layout="vertical" requiredMark={false} initialValues={initial} className="try-form"
        disabled={!ready} onFinish={(values) => void publish(values)}>
        <Form.Item name="topic" label={t('issue.topic')} rules={[{ required: true }]}>
          <Input autoComplete="off" spellCheck={false} />
        </Form.Item>
        <Form.Item name="payload" label={t('try.payload')}>
          <Input autoComplete="off" spellCheck={false} />
        </Form.Item>
        <Form.Item label={<span aria-hidden="true">&nbsp;</span>} colon={false}>
          <Button htmlType="submit" icon={<SendOutlined />} loading={busy}>{t('try.publish')}</Button>
        </Form.Item>
      </Form>
      <div aria-live="polite">
        {millis !== null && <Badge tone="ok">{t('try.acknowledged', { millis })}</Badge>}
      </div>
    </Panel>
  );
}
