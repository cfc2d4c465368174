/** From nothing to the first message: a token, a program to run, and a live pane that shows what arrives. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { metricsQuery } from '../../api/metrics';
import { endpointsQuery } from '../../api/queries';
import { useInstance } from '../../layout/instance';
import { Page } from '../../ui/page';
import { ConnectPanel } from './connect';
import { useDemo } from './demo';
import { useLiveCheck } from './live-check';
import { LivePanel } from './live-panel';
import { progressOf } from './progress';
import { Steps } from './steps';
import { TryPanel } from './try-panel';
import './page.css';

export default function GetStartedPage() {
  const { t } = useTranslation('start');
  const instance = useInstance();
  const { demo, busy, issue } = useDemo(instance);
  const { data: endpoints } = useQuery(endpointsQuery(instance.id));
  const { data: chart } = useQuery(metricsQuery(instance.id, { kind: 'live', preset: '15m' }));
  const live = useLiveCheck(demo, (endpoints ?? instance.endpoints).username_suffix);
  const [topic, setTopic] = useState<string | null>(null);
  const progress = progressOf(demo, live, chart);
  const reissue = () => void issue(demo?.topic ?? topic ?? 'demo');
  return (
    <Page title={t('title')} tabTitle={`${t('title')} · ${instance.name}`} sentence={t('sentence')}>
      <div className="start">
        <Steps demo={demo} busy={busy} progress={progress} topic={topic} onTopic={setTopic} onIssue={issue} />
        <div className="start-middle">
          <ConnectPanel demo={demo} endpoints={endpoints ?? instance.endpoints} />
          <TryPanel demo={demo} live={live} />
        </div>
        <LivePanel demo={demo} live={live} chart={chart} onReissue={reissue} />
      </div>
    </Page>
  );
}
