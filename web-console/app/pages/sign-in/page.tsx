/** Signing in: address and password, the own password in place of a one-time one, the wait after too many attempts. */
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { asApiError } from '../../api/errors';
import { api, call, rememberCsrfToken, type Schema } from '../../api/client';
import { sessionQuery } from '../../api/queries';
import { LanguageMenu, ThemeMenu } from '../../layout/preference-menus';
import { ErrorNotice } from '../../ui/error';
import { safeNext } from '../../util/search';
import { LockedNotice } from './locked-notice';
import { PasswordForm } from './password-form';
import { SignInForm } from './sign-in-form';
import './page.css';

type Attempt = Schema<'SignInRequest'>;

export default function SignInPage() {
  const { t } = useTranslation('signIn');
  const [challenge, setChallenge] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const arrive = useArrival();
  useEffect(() => {
    document.title = `${t('title')} · IoT MQ`;
  }, [t]);

  const attempt = async (body: Attempt) => {
    setBusy(true);
    setError(null);
    try {
      await arrive(await call(api.POST('/v1/session', { body })));
    } catch (thrown) {
      const { code, problem } = asApiError(thrown);
      if (code === 'password_change_required' && problem?.challenge) setChallenge(problem.challenge);
      else setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  const locked = error !== null && asApiError(error).code === 'locked_out';
  const notice = error === null ? null : locked
    ? <LockedNotice error={asApiError(error)} />
    : <ErrorNotice error={error} />;
  const back = () => {
    setChallenge(null);
    setError(null);
  };
  return (
    <div className="sign-in">
      <div className="sign-in-tools"><LanguageMenu /><ThemeMenu /></div>
      <main className="sign-in-card">
        <div className="sign-in-brand">
          <img src="/favicon.svg" width={36} height={36} alt="" />
          <div><strong>IoT MQ</strong><span>{t('subtitle')}</span></div>
        </div>
        {challenge === null
          ? <SignInForm busy={busy} notice={notice} onSubmit={(email, password) => attempt({ email, password })} />
          : <PasswordForm busy={busy} notice={notice} onBack={back}
              onSubmit={(password) => attempt({ challenge, new_password: password })} />}
      </main>
    </div>
  );
}

/** What follows a good attempt: the session is known, and the page that was wanted is shown. */
function useArrival(): (session: Schema<'Session'>) => Promise<void> {
  const client = useQueryClient();
  const navigate = useNavigate();
  const { next } = useSearch({ strict: false }) as { next?: string };
  return async (session) => {
    rememberCsrfToken(session.csrf_token);
    client.clear();
    client.setQueryData(sessionQuery.queryKey, session);
    await navigate({ href: safeNext(next) } as never);
  };
}
