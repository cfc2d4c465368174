/** The own password, in place of a one-time one. */
import { Button, Form, Input } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useNewPasswordRules } from '../../ui/new-password';

type Values = { password: string; again: string };
type Properties = {
  busy: boolean; notice: ReactNode; onBack: () => void; onSubmit: (password: string) => Promise<void>;
};

export function PasswordForm({ busy, notice, onBack, onSubmit }: Properties) {
  const { t } = useTranslation('signIn');
  const rules = useNewPasswordRules('password');
  return (
    <Form<Values> layout="vertical" requiredMark={false} size="large"
      onFinish={({ password }) => void onSubmit(password)}>
      <h1>{t('firstTitle')}</h1>
      <p className="soft">{t('firstText')}</p>
      {notice}
      <Form.Item name="password" label={t('newPassword')} rules={rules.first} extra={t('passwordShort', { count: 12 })}>
        <Input.Password autoComplete="new-password" autoFocus />
      </Form.Item>
      <Form.Item name="again" label={t('repeat')} dependencies={['password']} rules={rules.again}>
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Button type="primary" htmlType="submit" block loading={busy}>{t('setPassword')}</Button>
      <Button type="link" block onClick={onBack}>{t('back')}</Button>
    </Form>
  );
}
