/** The secret that signs a webhook's calls: shown once. */
import { Alert, Modal } from 'antd';
import { useTranslation } from 'react-i18next';
import { CopyField } from '../../ui/copy';

export function SecretModal({ secret, onClose }: { secret: string | null; onClose: () => void }) {
  const { t } = useTranslation(['channels', 'common']);
  return (
    <Modal open={secret !== null} title={t('secretTitle')} onCancel={onClose} footer={null} mask={{ closable: false }}>
      {secret !== null && (
        <div className="stack">
          <Alert type="warning" showIcon title={t('common:shownOnce')} />
          <CopyField label={t('secret')} value={secret} wrap />
          <div className="soft">{t('secretHelp')}</div>
        </div>
      )}
    </Modal>
  );
}
