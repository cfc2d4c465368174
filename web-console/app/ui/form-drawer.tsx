/** A form in a drawer: fields, the call that it makes, save and cancel; what the API finds wrong stands at its field. */
import { Button, Drawer, Form, type FormInstance } from 'antd';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { asApiError, fieldPath } from '../api/errors';
import type { Call } from '../util/curl';
import { ShowCall } from './call';
import { ErrorNotice } from './error';
import './form-drawer.css';

type Properties<Values extends object> = {
  open: boolean;
  title: ReactNode;
  form: FormInstance<Values>;
  /** What the fields hold when the form is opened. */
  initial: Partial<Values>;
  /** What the button says; "Create", when left out. */
  action?: string;
  /** The request that the form would make with these values. */
  call?: (values: Values) => Call;
  onSubmit: (values: Values) => Promise<unknown>;
  onClose: () => void;
  width?: number;
  children: ReactNode;
};

export function FormDrawer<Values extends object>(properties: Properties<Values>) {
  const { open, title, form, initial, action, call, onSubmit, onClose, width = 520, children } = properties;
  const { t } = useTranslation();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const notice = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    form.setFieldsValue(initial as never);
    form.setFields(form.getFieldsError().map(({ name }) => ({ name, errors: [] })) as never);
    // Opening it fills it in; what changes outside meanwhile does not change what a person has typed.
  }, [open, form]);
  useEffect(() => {
    if (error !== null) notice.current?.scrollIntoView({ block: 'nearest' });
  }, [error]);
  const close = () => {
    setError(null);
    onClose();
  };
  const submit = async (values: Values) => {
    setBusy(true);
    setError(null);
    try {
      await onSubmit(values);
    } catch (thrown) {
      const fields = asApiError(thrown).fieldErrors()
        .map(({ pointer, detail }) => ({ name: fieldPath(pointer), errors: [detail] }))
        .filter(({ name }) => form.getFieldInstance(name as never) !== undefined);
      form.setFields(fields as never);
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Drawer
      open={open}
      title={title}
      size={width}
      onClose={close}
      destroyOnHidden
      footer={(
        <div className="drawer-foot">
          {call === undefined ? <span /> : <ShowCall call={() => call(form.getFieldsValue(true) as Values)} />}
          <span className="row">
            <Button onClick={close}>{t('cancel')}</Button>
            <Button type="primary" loading={busy} onClick={() => form.submit()}>{action ?? t('create')}</Button>
          </span>
        </div>
      )}
    >
      <Form<Values>
        form={form}
        layout="vertical"
        initialValues={initial}
        requiredMark={(label, { required }) => (
          <>{label}{!required && <span className="optional-mark">{t('optional')}</span>}</>
        )}
        onFinish={(values) => void submit({ ...form.getFieldsValue(true), ...values } as Values)}
        preserve={false}
      >
        {children}
        <button type="submit" hidden aria-hidden="true" tabIndex={-1} />
      </Form>
      <div ref={notice}>{error !== null && <ErrorNotice error={error} />}</div>
    </Drawer>
  );
}
