// Something to see on every page: topics, credentials, tokens, messages, shared subscriptions, an alarm; and an instance
// that has nothing.
import mqtt from 'mqtt';
import { api, apiOk, URL_BASE } from './console.mjs';

const TOPICS = [
  { name: 'vehicle', description: 'Cars of the fleet', history: { enabled: true, retention_secs: 259_200 } },
  { name: 'home', description: 'Sensors at home', history: { enabled: false, retention_secs: 259_200 } },
];

/** `leave` disconnects who has stayed. */
export async function seed(page, { tenantId, instanceId }) {
  const base = `/v1/instances/${instanceId}`;
  const put = async (path, body) => {
    const answer = await api(page, 'POST', base + path, body);
    if (answer.status >= 300 && answer.status !== 409) {
      console.error(`seed: POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  };
  for (const topic of TOPICS) await put('/topics', topic);
  for (const name of ['car-001', 'car-002', 'gateway-7']) {
    await put('/credentials', {
      kind: 'password', username: name, client_id: name, labels: { fleet: 'a' },
      grants: [{ actions: ['publish'], topic_filter: `vehicle/${name}/#` }],
    });
  }
  for (const client of ['car-001', 'car-002']) {
    await put('/tokens', {
      client_id: client, ttl_secs: 86_400, labels: { tour: '42' },
      grants: [
        { actions: ['publish'], topic_filter: `vehicle/${client}/up/#`, qos_max: 1 },
        { actions: ['subscribe'], topic_filter: `vehicle/${client}/down/#` },
      ],
    });
  }
  for (let at = 0; at < 12; at += 1) {
    await put('/messages/publish', {
      topic: `vehicle/car-00${1 + (at % 2)}/up/gps`, qos: 1,
      payload: { encoding: 'utf8', data: JSON.stringify({ lat: 31.2304 + at / 1000, lon: 121.4737, speed: 30 + at }) },
    });
  }
  const leave = await share(page, instanceId);
  const channel = await put('/channels', { name: 'ops', kind: 'webhook', url: 'https://ops.example.com/hook', enabled: true });
  await put('/alarm-rules', {
    name: 'fleet silent', severity: 'critical', enabled: true, for_secs: 0, repeat_secs: 3600,
    condition: { kind: 'threshold', metric: 'connections', compare: 'below', window_secs: 60, value: 5, clear_value: 6 },
    channels: channel?.id ? [channel.id] : [],
  });
  await put('/alarm-rules', {
    name: 'many connections', severity: 'warning', enabled: true, for_secs: 60, repeat_secs: null,
    condition: { kind: 'threshold', metric: 'connections', compare: 'above', window_secs: 60, value: 800, clear_value: 700 },
    channels: [],
  });
  return { leave, emptyInstanceId: await emptyInstance(page, tenantId, instanceId) };
}

/** Two groups: one whose members are there, and one whose member has gone and for whom messages wait. */
async function share(page, instanceId) {
  const base = `/v1/instances/${instanceId}`;
  const { username_suffix: suffix } = await apiOk(page, 'GET', `${base}/endpoints`);
  const join = async (clientId, filter) => {
    const { token } = await apiOk(page, 'POST', `${base}/tokens`, {
      client_id: clientId, ttl_secs: 3_600, grants: [{ actions: ['subscribe', 'replay'], topic_filter: 'vehicle/#' }],
    });
    const client = await mqtt.connectAsync(`${URL_BASE.replace(/^http/, 'ws')}/mqtt`, {
      clientId, username: clientId + suffix, password: token, clean: false, reconnectPeriod: 0,
    });
    await client.subscribeAsync(filter, { qos: 1 });
    return client;
  };
  const stay = [];
  for (const at of [1, 2]) stay.push(await join(`worker-${at}`, '$share/dispatch/vehicle/+/up/#'));
  await (await join('billing-1', '$share/billing/vehicle/#')).endAsync();
  for (let at = 0; at < 9; at += 1) {
    await apiOk(page, 'POST', `${base}/messages/publish`, {
      topic: 'vehicle/car-001/up/trip', qos: 1, payload: { encoding: 'utf8', data: `{"trip":${4_711 + at}}` },
      expires_in_secs: 3_600,
      properties: {
        payload_format: 'text', content_type: 'application/json', response_topic: 'vehicle/car-001/down/trip',
        correlation_data: btoa(`trip-${at}`), user_properties: [{ name: 'fleet', value: 'a' }, { name: 'trace', value: '7f3a' }],
      },
    });
  }
  return async () => {
    for (const client of stay) await client.endAsync();
  };
}

async function emptyInstance(page, tenantId, instanceId) {
  const { plan } = await apiOk(page, 'GET', `/v1/instances/${instanceId}`);
  const made = await api(page, 'POST', `/v1/tenants/${tenantId}/instances`, { name: 'empty', plan: plan.name });
  if (made.status < 300) return made.body.id;
  const { items } = await apiOk(page, 'GET', `/v1/tenants/${tenantId}/instances?name=empty`);
  return items[0].id;
}
