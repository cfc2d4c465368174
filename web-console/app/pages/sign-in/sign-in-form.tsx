/** Address and password. */
import { Button, Form, Input } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

type Values = { email: string; password: string };
type Properties = { busy: boolean; notice: ReactNode; onSubmit: (email: string, password: string) => Promise<void> };

export function SignInForm({ busy, notice, onSubmit }: Properties) {
  const { t } = useTranslation('signIn');
  return (
    <Form<Values> layout="vertical" requiredMark={false} size="large"
      onFinish={({ email, password }) => void onSubmit(email.trim(), password)}>
      <h1>{t('title')}</h1>
      {notice}
      <Form.Item name="email" label={t('email')} rules={[{ required: true, whitespace: true, message: t('emailRequired') }]}>
        <Input type="email" autoComplete="username" autoFocus inputMode="email" />
      </Form.Item>
      <Form.Item name="password" label={t('password')} rules={[{ required: true, message: t('passwordRequired') }]}>
        <Input.Password autoComplete="current-password" />
      </Form.Item>
      <Button type="primary" htmlType="submit" block loading={busy}>{t('signIn')}</Button>
      <p className="sign-in-hint">{t('where')}</p>
    </Form>
  );
}
