/** A secret that was just generated: shown once. */
import { Alert, Modal } from 'antd';
import { useTranslation } from 'react-i18next';
import { useInstance } from '../../layout/instance';
import { CopyField } from '../../ui/copy';

export type Secret = { username: string; secret: string };

export function SecretModal({ secret, onClose }: { secret: Secret | null; onClose: () => void }) {
  const { t } = useTranslation(['credentials', 'common']);
  const { label } = useInstance();
  return (
    <Modal open={secret !== null} title={t('secretTitle')} onCancel={onClose} footer={null} mask={{ closable: false }}>
      {secret !== null && (
        <div className="stack">
          <Alert type="warning" showIcon title={t('common:shownOnce')} />
          <CopyField label={t('username')} value={`${secret.username}@${label}`} />
          <CopyField label={t('secret')} value={secret.secret} wrap />
        </div>
      )}
    </Modal>
  );
}
