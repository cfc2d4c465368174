/** A query's three states on a page: loading, failed with a retry, there. */
import type { UseQueryResult } from '@tanstack/react-query';
import { Skeleton } from 'antd';
import type { ReactNode } from 'react';
import { ErrorNotice } from './error';

type Properties<Data> = {
  query: UseQueryResult<Data>;
  /** What stands there while it loads; a few grey lines, when left out. */
  loading?: ReactNode;
  children: (data: Data) => ReactNode;
};

export function Loaded<Data>({ query, loading, children }: Properties<Data>) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError) return <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />;
  return loading ?? <div style={{ padding: 16 }}><Skeleton active title={false} paragraph={{ rows: 5 }} /></div>;
}
