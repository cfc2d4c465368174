/** The frame of every page: title, one sentence, actions, and below them the page itself. */
import type { ReactNode } from 'react';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import './page.css';

type PageProperties = {
  title: ReactNode;
  /** The title of the browser's tab, where `title` is not plain text. */
  tabTitle?: string;
  sentence?: ReactNode;
  actions?: ReactNode;
  /** Full width instead of the width at which text reads well: lists and charts. */
  wide?: boolean;
  children: ReactNode;
};

export function Page({ title, tabTitle, sentence, actions, wide = true, children }: PageProperties) {
  const { t } = useTranslation();
  const tab = tabTitle ?? (typeof title === 'string' ? title : '');
  useEffect(() => {
    document.title = tab === '' ? t('product') : `${tab} · ${t('product')}`;
  }, [tab, t]);
  return (
    <div className={wide ? 'page' : 'page page-narrow'}>
      <header className="page-head">
        <div className="page-words">
          <h1>{title}</h1>
          {sentence !== undefined && <p>{sentence}</p>}
        </div>
        {actions !== undefined && <div className="page-actions">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

type PanelProperties = {
  title?: ReactNode;
  extra?: ReactNode;
  /** Without inner space: tables and lists that bring their own. */
  flush?: boolean;
  className?: string;
  children: ReactNode;
};

/** A part of a page with a title of its own. */
export function Panel({ title, extra, flush = false, className = '', children }: PanelProperties) {
  return (
    <section className={`panel ${className}`}>
      {(title !== undefined || extra !== undefined) && (
        <header className="panel-head">
          <h2>{title}</h2>
          {extra}
        </header>
      )}
      <div className={flush ? 'panel-body panel-flush' : 'panel-body'}>{children}</div>
    </section>
  );
}
