/** The three steps; their ticks turn by themselves. */
import { CheckOutlined } from '@ant-design/icons';
import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useInstance } from '../../layout/instance';
import { Panel } from '../../ui/page';
import type { Demo } from './demo';
import { IssueForm, TokenFacts } from './issue';
import type { Progress } from './progress';

type Properties = {
  demo: Demo | null; busy: boolean; progress: Progress; topic: string | null;
  onTopic: (topic: string) => void; onIssue: (topic: string) => Promise<void>;
};

export function Steps({ demo, busy, progress, topic, onTopic, onIssue }: Properties) {
  const { t } = useTranslation('start');
  const { id } = useInstance();
  return (
    <Panel className="start-steps">
      <ol aria-label={t('steps.label')}>
        <Step number={1} title={t('steps.token')} done={progress.token}>
          {demo === null
            ? <><p>{t('steps.tokenWait')}</p><IssueForm busy={busy} topic={topic} onTopic={onTopic} onIssue={onIssue} /></>
            : <TokenFacts demo={demo} busy={busy} onAgain={() => void onIssue(demo.topic)} />}
        </Step>
        <Step number={2} title={t('steps.connected')} done={progress.connected} waiting={progress.token}>
          <p>{progress.connected ? t('steps.connectedDone') : t('steps.connectedWait')}</p>
        </Step>
        <Step number={3} title={t('steps.message')} done={progress.message !== null} waiting={progress.token}>
          <p>{progress.message === null ? t('steps.messageWait') : t('steps.messageDone', { topic: progress.message })}</p>
        </Step>
      </ol>
      {progress.message !== null && (
        <div className="start-next">
          <strong>{t('next.title')}</strong>
          <p>{t('next.text')}</p>
          <Link to="/instances/$instanceId/overview" params={{ instanceId: id }}>
            <Button block>{t('next.overview')}</Button>
          </Link>
        </div>
      )}
    </Panel>
  );
}

type StepProperties = { number: number; title: string; done: boolean; waiting?: boolean; children: ReactNode };

function Step({ number, title, done, waiting = false, children }: StepProperties) {
  const { t } = useTranslation('start');
  const look = done ? 'step step-done' : waiting ? 'step step-waiting' : 'step';
  return (
    <li className={look} data-step={number} data-done={done}>
      <span className="step-mark" aria-hidden="true">{done ? <CheckOutlined /> : number}</span>
      <div className="step-body">
        <h2>{title}<span className="visually-hidden"> ({done ? t('steps.done') : t('steps.open')})</span></h2>
        {children}
      </div>
    </li>
  );
}
