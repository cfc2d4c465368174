/** Taking an alarm on: who, and if they like, a note for the others. */
import { useQueryClient } from '@tanstack/react-query';
import { App, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, call } from '../../api/client';
import { useInstance } from '../../layout/instance';
import { ErrorNotice } from '../../ui/error';
import type { Alarm } from './queries';

export function Acknowledge({ alarm, onClose }: { alarm: Alarm | null; onClose: () => void }) {
  const { t } = useTranslation(['alarms', 'common']);
  const { message } = App.useApp();
  const client = useQueryClient();
  const { id: instanceId } = useInstance();
  const [note, setNote] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const close = () => {
    setNote('');
    setError(null);
    onClose();
  };
  const confirm = async () => {
    if (alarm === null) return;
    setBusy(true);
    setError(null);
    try {
      await call(api.POST('/v1/instances/{instance_id}/alarms/{alarm_id}/acknowledge', {
        params: { path: { instance_id: instanceId, alarm_id: alarm.id } },
        body: note.trim() === '' ? {} : { note: note.trim() },
      }));
      await client.invalidateQueries({ queryKey: ['alarms', instanceId] });
      message.success(t('acknowledged'));
      close();
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal open={alarm !== null} title={t('acknowledgeTitle', { name: alarm?.rule_name ?? '' })} okText={t('acknowledge')}
      okButtonProps={{ loading: busy }} onOk={() => void confirm()} onCancel={close} destroyOnHidden>
      <Form layout="vertical" onFinish={() => void confirm()}>
        <Form.Item label={t('note')} htmlFor="alarm-note" extra={t('noteHelp')} style={{ marginBottom: 16 }}>
          <Input id="alarm-note" autoFocus maxLength={200} value={note} onChange={(event) => setNote(event.target.value)} />
        </Form.Item>
      </Form>
      {error !== null && <ErrorNotice error={error} />}
    </Modal>
  );
}
