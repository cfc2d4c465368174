/** An instance's own page: what it accepts, where it is, its plan and limits, and its end. */
import { useTranslation } from 'react-i18next';
import { useInstance } from '../../layout/instance';
import { Page } from '../../ui/page';
import { EndOfInstance } from './end';
import { General } from './general';
import { LimitTable } from './limits';
import { WhereItIs } from './where';
import './page.css';

export default function SettingsPage() {
  const { t } = useTranslation('instances');
  const { name } = useInstance();
  return (
    <Page title={t('settings')} tabTitle={`${t('settings')} · ${name}`} sentence={t('settingsSentence')}>
      <div className="settings">
        <div className="stack">
          <General />
          <EndOfInstance />
        </div>
        <div className="stack">
          <WhereItIs />
          <LimitTable />
        </div>
      </div>
    </Page>
  );
}
