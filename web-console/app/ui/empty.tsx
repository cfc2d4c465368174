/** What a page says when it has nothing to show: why, and what to do about it. */
import type { ReactNode } from 'react';
import './empty.css';

type Properties = { icon?: ReactNode; title: ReactNode; children?: ReactNode; actions?: ReactNode };

export function EmptyState({ icon, title, children, actions }: Properties) {
  return (
    <div className="empty">
      {icon !== undefined && <div className="empty-icon" aria-hidden="true">{icon}</div>}
      <h3>{title}</h3>
      {children !== undefined && <div className="empty-text">{children}</div>}
      {actions !== undefined && <div className="row empty-actions">{actions}</div>}
    </div>
  );
}
