/** One message beside the list: its facts, what it carries, and its body as text, JSON, hexadecimal or a download. */
import { DownloadOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Alert, Button, Drawer, Segmented } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ShowCall } from '../../ui/call';
import { CopyButton } from '../../ui/copy';
import { useFormat } from '../../ui/language';
import { Loaded } from '../../ui/loaded';
import { Time } from '../../ui/time';
import { bytesOf, type Form, formsOf, hexDump, type Payload, prettyJson, visible } from './body';
import { Carried } from './carried';
import type { Message } from './query';

export function MessageDetail({ message, onClose }: { message: Message | null; onClose: () => void }) {
  const { t } = useTranslation('messages');
  return (
    <Drawer open={message !== null} onClose={onClose} size={560} title={t('message')} destroyOnHidden>
      {message !== null && <Detail key={message.id} id={message.id} />}
    </Drawer>
  );
}

function Detail({ id }: { id: string }) {
  const { t } = useTranslation('messages');
  const { id: instanceId } = useInstance();
  const path = `/v1/instances/${instanceId}/messages/${id}`;
  const query = useQuery({
    queryKey: ['message', instanceId, id],
    queryFn: () => call(api.GET('/v1/instances/{instance_id}/messages/{message_id}', {
      params: { path: { instance_id: instanceId, message_id: id } },
    })),
    staleTime: Infinity,
  });
  return (
    <Loaded query={query}>
      {(message) => (
        <div className="stack">
          <Facts message={message} />
          {message.properties != null && <Carried properties={message.properties} />}
          {message.payload == null
            ? <Alert type="info" showIcon title={t('bodyHidden')} />
            : <Body payload={message.payload} download={`${path}/payload`} />}
          <div><ShowCall call={{ method: 'GET', path }} /></div>
        </div>
      )}
    </Loaded>
  );
}

function Facts({ message }: { message: Message }) {
  const { t } = useTranslation(['messages', 'common']);
  const { bytes } = useFormat();
  return (
    <dl className="message-facts">
      <dt>{t('id')}</dt><dd><code>{message.id}</code> <CopyButton text={message.id} /></dd>
      <dt>{t('topic')}</dt><dd><code>{message.topic}</code> <CopyButton text={message.topic} /></dd>
      <dt>{t('client')}</dt><dd>{message.client_id == null ? t('application') : <code>{message.client_id}</code>}</dd>
      <dt>{t('storedAt')}</dt><dd><Time at={message.stored_at} style="millis" /></dd>
      <dt>QoS</dt><dd>{message.qos}</dd>
      <dt>{t('retained')}</dt><dd>{message.retain ? t('common:yes') : t('common:no')}</dd>
      <dt>{t('size')}</dt><dd>{bytes(message.bytes)}</dd>
      {message.expires_at != null && <><dt>{t('expiresAt')}</dt><dd><Time at={message.expires_at} style="millis" /></dd></>}
    </dl>
  );
}

function Body({ payload, download }: { payload: Payload; download: string }) {
  const { t } = useTranslation('messages');
  const bytes = useMemo(() => bytesOf(payload), [payload]);
  const forms = useMemo(() => formsOf(bytes), [bytes]);
  const [chosen, choose] = useState<Form | null>(null);
  const form = chosen ?? forms[0] ?? 'hex';
  const text = form === 'hex' ? hexDump(bytes)
    : visible(form === 'json' ? prettyJson(bytes) ?? '' : new TextDecoder().decode(bytes));
  return (
    <section className="stack" aria-label={t('body')}>
      <div className="row" style={{ justifyContent: 'space-between' }}>
        <Segmented<Form> value={form} onChange={choose} aria-label={t('bodyForm')}
          options={forms.map((value) => ({ value, label: t(`forms.${value}`) }))} />
        <span className="row">
          <CopyButton text={text} />
          <Button size="small" icon={<DownloadOutlined />} href={download} download>{t('download')}</Button>
        </span>
      </div>
      {bytes.length === 0
        ? <span className="soft">{t('emptyBody')}</span>
        : <pre className={form === 'hex' ? 'message-body message-body-hex' : 'message-body'} tabIndex={0}>{text}</pre>}
      {payload.truncated && <span className="soft">{t('truncated')}</span>}
    </section>
  );
}
