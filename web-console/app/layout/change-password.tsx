/** Changing one's own password. */
import { App, Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, call } from '../api/client';
import { FormDrawer } from '../ui/form-drawer';
import { useNewPasswordRules } from '../ui/new-password';

type Values = { current_password: string; new_password: string; again: string };

export function ChangePassword({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation('layout');
  const { message } = App.useApp();
  const [form] = Form.useForm<Values>();
  const rules = useNewPasswordRules('new_password');
  const submit = async ({ current_password, new_password }: Values) => {
    await call(api.POST('/v1/me/password', { body: { current_password, new_password } }));
    message.success(t('passwordChanged'));
    onClose();
  };
  return (
    <FormDrawer<Values> open={open} title={t('changePassword')} form={form} initial={{}} action={t('changePassword')}
      width={420} onSubmit={submit} onClose={onClose}>
      <Form.Item name="current_password" label={t('currentPassword')} rules={[{ required: true }]}>
        <Input.Password autoComplete="current-password" autoFocus />
      </Form.Item>
      <Form.Item name="new_password" label={t('newPassword')} rules={rules.first}>
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Form.Item name="again" label={t('repeatPassword')} dependencies={['new_password']} rules={rules.again}>
        <Input.Password autoComplete="new-password" />
      </Form.Item>
    </FormDrawer>
  );
}
