/** The list of tokens. */
import { Button, Table, type TableColumnsType } from 'antd';
import { useTranslation } from 'react-i18next';
import { GrantWords } from '../../ui/grants';
import { LabelWords } from '../../ui/label-field';
import { Status, type Tone } from '../../ui/status';
import { Time } from '../../ui/time';
import type { Token } from './query';

const TONES: Record<Token['state'], Tone> = {
  active: 'ok', not_yet_valid: 'accent', expired: 'idle', revoked: 'bad',
};

type Properties = {
  tokens: Token[];
  loading: boolean;
  hasMore: boolean;
  loadingMore: boolean;
  mayRevoke: boolean;
  onMore: () => void;
  onRevoke: (token: Token) => void;
};

export function TokenTable({ tokens, loading, hasMore, loadingMore, mayRevoke, onMore, onRevoke }: Properties) {
  const { t } = useTranslation(['tokens', 'common']);
  const stateOf = ({ state }: Token) => <Status tone={TONES[state]}>{t(`states.${state}`)}</Status>;
  const endOf = ({ state, expires_at, revoked_at }: Token) => state === 'revoked'
    ? <span className="soft">{t('revokedAt')} <Time at={revoked_at} style="relative" /></span>
    : <Time at={expires_at} style="relative" />;
  const columns: TableColumnsType<Token> = [
    {
      title: t('client'), key: 'client', render: (_, token) => (
        <>
          <strong className="mono long">{token.client_id ?? token.subject}</strong>
          {token.client_id == null && <span className="soft"> {t('subject')}</span>}
          <div className="narrow">{stateOf(token)} · {endOf(token)}</div>
          <div><LabelWords labels={token.labels} /></div>
        </>
      ),
    },
    { title: t('common:state'), key: 'state', responsive: ['md'], render: (_, token) => stateOf(token) },
    { title: t('grants'), key: 'grants', responsive: ['md'], render: (_, { grants }) => <GrantWords grants={grants} /> },
    { title: t('expires'), key: 'expires', responsive: ['md'], render: (_, token) => endOf(token) },
    { title: t('issued'), key: 'issued', responsive: ['lg'], render: (_, { issued_at }) => <Time at={issued_at} style="relative" /> },
    { title: t('signingKey'), dataIndex: 'signing_key', responsive: ['xl'] },
    {
      key: 'actions', align: 'end', render: (_, token) => (token.state === 'active' || token.state === 'not_yet_valid') && (
        <Button size="small" disabled={!mayRevoke} onClick={() => onRevoke(token)}>{t('revoke')}</Button>
      ),
    },
  ];
  return (
    <>
      <Table rowKey="id" size="middle" columns={columns} dataSource={tokens} loading={loading} pagination={false} />
      {hasMore && (
        <div className="load-more"><Button loading={loadingMore} onClick={onMore}>{t('common:loadMore')}</Button></div>
      )}
    </>
  );
}
