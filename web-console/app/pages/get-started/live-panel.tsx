/** What arrives as it arrives, and what was refused with a way to mend it. */
import { InboxOutlined } from '@ant-design/icons';
import { useNavigate } from '@tanstack/react-router';
import { Alert, Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { useInstance } from '../../layout/instance';
import { useFormat } from '../../ui/language';
import { Panel } from '../../ui/page';
import { useReasonWords } from '../../ui/reason';
import { Badge, Status } from '../../ui/status';
import { Time } from '../../ui/time';
import { payloadText } from '../../util/payload';
import { byReason, type Chart } from '../../util/series';
import type { Demo } from './demo';
import type { Arrived, LiveCheck } from './live-check';

const TONES = { off: 'idle', connecting: 'accent', listening: 'ok', failed: 'bad' } as const;
const REASONS_MAX = 4;

type Properties = { demo: Demo | null; live: LiveCheck; chart: Chart | undefined; onReissue: () => void };

export function LivePanel({ demo, live, chart, onReissue }: Properties) {
  const { t } = useTranslation('start');
  const { kind } = live.state;
  const words = kind === 'listening' ? t('live.listening', { filter: `${demo?.topic ?? ''}/#` }) : t(`live.${kind}`);
  return (
    <Panel title={t('live.title')} extra={<Status tone={TONES[kind]}>{words}</Status>} className="start-live">
      <div aria-live="polite" className="live-list" data-live={kind}>
        {live.state.kind === 'failed' && (
          <Alert type="warning" title={t('live.failedText', { reason: live.state.reason ?? t('live.noAnswer') })} />
        )}
        {live.messages.length === 0
          ? <Waiting listening={kind === 'listening'} ready={demo !== null} />
          : <Messages messages={live.messages} />}
      </div>
      {chart !== undefined && <Refused chart={chart} onReissue={onReissue} />}
    </Panel>
  );
}

function Waiting({ listening, ready }: { listening: boolean; ready: boolean }) {
  const { t } = useTranslation('start');
  return (
    <div className={listening ? 'live-waiting live-pulse' : 'live-waiting'}>
      <InboxOutlined aria-hidden="true" />
      <p>{ready ? t('live.waiting') : t('live.offText')}</p>
    </div>
  );
}

function Messages({ messages }: { messages: Arrived[] }) {
  const { t } = useTranslation('start');
  return (
    <>
      <Alert type="success" showIcon title={t('live.first')} />
      <ul className="live-messages">
        {messages.map((message, at) => <Message key={messages.length - at} message={message} />)}
      </ul>
    </>
  );
}

function Message({ message }: { message: Arrived }) {
  const { t } = useTranslation('start');
  const { bytes } = useFormat();
  const { text } = payloadText(message.payload);
  return (
    <li>
      <div className="live-head">
        <code>{message.topic}</code><Time at={message.at} style="clock" />
      </div>
      <pre>{text}</pre>
      <div className="row soft live-foot">
        {t('live.bytes', { size: bytes(message.payload.length), qos: message.qos })}
        {message.fromHere && <Badge>{t('live.fromHere')}</Badge>}
      </div>
    </li>
  );
}

type Fix = 'reissue' | 'settings' | 'topics';

/** Which button mends which refusal. */
const FIXES: Record<string, Fix> = {
  token_expired: 'reissue', token_revoked: 'reissue', token_invalid: 'reissue', token_not_yet_valid: 'reissue',
  client_id_in_use: 'reissue', client_id_not_allowed: 'reissue',
  authentication_kind_refused: 'settings', instance_suspended: 'settings', topic_not_provisioned: 'topics',
};

function Refused({ chart, onReissue }: { chart: Chart; onReissue: () => void }) {
  const { t } = useTranslation('start');
  const { id } = useInstance();
  const navigate = useNavigate();
  const words = useReasonWords();
  const reasons = byReason(chart, 'refused').slice(0, REASONS_MAX);
  if (reasons.length === 0) return null;
  const act = (fix: Fix) => {
    if (fix === 'reissue') onReissue();
    else void navigate({ to: `/instances/$instanceId/${fix}`, params: { instanceId: id } });
  };
  return (
    <section className="live-refused">
      <h3>{t('live.refused')}</h3>
      <ul>
        {reasons.map(({ reason, count }) => {
          const fix = FIXES[reason];
          return (
            <li key={reason}>
              <div className="live-head">
                <strong>{words.title('refused', reason)}</strong>
                <span className="soft numbers">{t('live.refusedCount', { count })}</span>
              </div>
              <p>{words.fix(reason)}</p>
              {fix !== undefined && <Button size="small" onClick={() => act(fix)}>{t(`live.fix.${fix}`)}</Button>}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
