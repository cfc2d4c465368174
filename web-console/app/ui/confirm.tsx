/** Deleting asks for the name of what is deleted, and says what goes with it. */
import { Form, Input, Modal } from 'antd';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ErrorNotice } from './error';

type Properties = {
  open: boolean;
  title: ReactNode;
  /** What the person has to type. */
  name: string;
  /** What goes with it, and until when it can be restored. */
  children: ReactNode;
  /** What the button says; "Delete", when left out. */
  action?: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
};

export function ConfirmByName({ open, title, name, children, action, onConfirm, onClose }: Properties) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const close = () => {
    setTyped('');
    setError(null);
    onClose();
  };
  const confirm = async () => {
    if (typed !== name || busy) return;
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      close();
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal
      open={open}
      title={title}
      okText={action ?? t('delete')}
      okButtonProps={{ danger: true, disabled: typed !== name, loading: busy }}
      onOk={() => void confirm()}
      onCancel={close}
      destroyOnHidden
    >
      <div className="stack">
        <div>{children}</div>
        <Form layout="vertical" onFinish={() => void confirm()}>
          <Form.Item
            label={t('typeNameToConfirm', { name })}
            htmlFor="confirm-name"
            style={{ marginBottom: 0 }}
          >
            <Input id="confirm-name" autoFocus autoComplete="off" value={typed}
              onChange={(event) => setTyped(event.target.value)} />
          </Form.Item>
        </Form>
        {error !== null && <ErrorNotice error={error} />}
      </div>
    </Modal>
  );
}
