/** The start of the console. */
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { App, ConfigProvider } from 'antd';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { queryClient, whenSignedOut } from './api/query-client';
import { componentWords, startLanguages } from './i18n';
import { router } from './routes';
import { useTheme } from './ui/theme';
import { usePreferences } from './util/preferences';
import './ui/theme.css';

whenSignedOut(() => {
  if (router.state.location.pathname === '/sign-in') return;
  const next = router.state.location.href;
  queryClient.removeQueries({ queryKey: ['session'] });
  void router.navigate({ to: '/sign-in', search: { next } as never });
});

function Console() {
  const { language } = usePreferences();
  const words = componentWords(language);
  return (
    <ConfigProvider
      theme={useTheme()}
      {...(words && { locale: words })}
      button={{ autoInsertSpace: false }}
    >
      <App>
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </App>
    </ConfigProvider>
  );
}

const place = document.getElementById('root');
if (place === null) throw new Error('the page has a place for the console');
await startLanguages();
createRoot(place).render(<StrictMode><Console /></StrictMode>);
