/** Where to connect, and programs that do. */
import { Tabs } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { CodeBlock, CopyField } from '../../ui/copy';
import { Panel } from '../../ui/page';
import { useAddress } from '../../ui/address';
import type { Demo } from './demo';
import { type Connection, PROGRAMS, type Program, snippet } from './snippets';

/** Stands where the token will be. */
const PENDING = '<token>';

type Properties = { demo: Demo | null; endpoints: Schema<'Endpoints'> };

export function ConnectPanel({ demo, endpoints }: Properties) {
  const { t } = useTranslation('start');
  const [{ program }, setAddress] = useAddress();
  const active = PROGRAMS.find((one) => one === program) ?? 'mosquitto';
  const connection = connectionOf(demo, endpoints);
  const { host, port, clientId, username, password } = connection;
  return (
    <Panel title={t('connect.title')}>
      <div className="connect-facts">
        <CopyField label={t('connect.host')} value={host} />
        <CopyField label={t('connect.port')} value={String(port)} />
        <CopyField label={t('connect.clientId')} value={clientId} />
        <CopyField label={t('connect.userName')} value={username} />
        <CopyField label={t('connect.password')} value={password} />
      </div>
      {demo === null && <p className="soft connect-wait">{t('connect.waiting')}</p>}
      <Tabs
        activeKey={active}
        onChange={(chosen) => setAddress({ program: chosen })}
        items={PROGRAMS.map((one) => ({ key: one, label: one, children: <ProgramText program={one} connection={connection} /> }))}
      />
    </Panel>
  );
}

function ProgramText({ program, connection }: { program: Program; connection: Connection }) {
  const { t } = useTranslation('start');
  const { needs, code } = snippet(program, connection);
  return (
    <>
      <p className="soft connect-needs">{t('connect.needs')} <code>{needs}</code></p>
      <CodeBlock code={code} label={program} />
    </>
  );
}

function connectionOf(demo: Demo | null, endpoints: Schema<'Endpoints'>): Connection {
  const clientId = demo?.device.client_id ?? 'demo-…';
  return {
    host: endpoints.server_name ?? endpoints.host,
    port: endpoints.mqtt_port,
    tls: endpoints.mqtt.startsWith('mqtts:'),
    clientId,
    username: `${clientId}${endpoints.username_suffix}`,
    password: demo?.device.token ?? PENDING,
    topic: `${demo?.topic ?? 'demo'}/hello`,
  };
}
