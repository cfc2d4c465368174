/** What a device or a program needs to name the instance. */
import { useTranslation } from 'react-i18next';
import { useInstance } from '../../layout/instance';
import { CopyField } from '../../ui/copy';
import { Panel } from '../../ui/page';

export function WhereItIs() {
  const { t } = useTranslation('instances');
  const { id, endpoints } = useInstance();
  return (
    <Panel title={t('where')}>
      <div className="facts">
        <CopyField label={t('endpoint')} value={endpoints.mqtt} />
        <CopyField label={t('userNameSuffix')} value={endpoints.username_suffix} />
        <span className="soft">{t('userNameSuffixHelp')}</span>
        <CopyField label={t('instanceId')} value={id} />
      </div>
    </Panel>
  );
}
