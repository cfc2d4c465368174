/** An error for people: what happened, what to do, the request's id, and a retry when it can help. */
import { Alert, App, Button } from 'antd';
import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError, asApiError } from '../api/errors';
import { useFormat } from './language';

/** The sentence for an error in the language that is shown. */
export function useErrorText(): (thrown: unknown) => string {
  const { t, i18n } = useTranslation('errors');
  const { duration } = useFormat();
  return useCallback((thrown) => {
    const error = asApiError(thrown);
    const limit = error.problem?.limit;
    const known = i18n.exists(error.code, { ns: 'errors' });
    return t((known ? error.code : 'other') as 'limit_reached' & 'locked_out', {
      wait: duration(error.retryAfterSecs ?? 60),
      used: String(limit?.used ?? ''),
      value: String(limit?.value ?? ''),
      name: limit?.name ?? '',
    });
  }, [t, i18n, duration]);
}

/** Whether what the server says adds to the sentence of the code. */
function saysMore(error: ApiError): boolean {
  return error.problem !== null && !['credentials_wrong', 'locked_out', 'not_found'].includes(error.code);
}

function Facts({ error }: { error: ApiError }) {
  const { t } = useTranslation('errors');
  const fields = error.fieldErrors();
  if (!saysMore(error) && error.requestId === null) return null;
  return (
    <div className="soft">
      {saysMore(error) && fields.length === 0 && <div>{error.detail}</div>}
      {fields.map(({ pointer, detail }) => (
        <div key={pointer + detail}><code>{pointer.slice(1)}</code> {detail}</div>
      ))}
      {error.requestId !== null && <div>{t('requestId')} <code>{error.requestId}</code></div>}
    </div>
  );
}

export function ErrorNotice({ error: thrown, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  const { t } = useTranslation();
  const text = useErrorText();
  const error = asApiError(thrown);
  return (
    <Alert
      type="error"
      showIcon
      title={text(error)}
      description={<Facts error={error} />}
      action={onRetry === undefined || !error.retryable ? undefined : <Button size="small" onClick={onRetry}>{t('retry')}</Button>}
    />
  );
}

/** Shows what went wrong with something that a person has just done. */
export function useErrorToast(): (thrown: unknown) => void {
  const { notification } = App.useApp();
  const text = useErrorText();
  return useCallback((thrown) => {
    const error = asApiError(thrown);
    notification.error({ title: text(error), description: <Facts error={error} />, duration: 8 });
  }, [notification, text]);
}
