// Something to see on every page: topics, credentials, tokens, messages, an alarm.
import { api } from './console.mjs';

const TOPICS = [
  { name: 'vehicle', description: 'Cars of the fleet', history: { enabled: true, retention_secs: 259_200 } },
  { name: 'home', description: 'Sensors at home', history: { enabled: false, retention_secs: 259_200 } },
];

export async function seed(page, { instanceId }) {
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
  const channel = await put('/channels', { name: 'ops', kind: 'webhook', url: 'https://ops.example.com/hook', enabled: true });
  await put('/alarm-rules', {
    name: 'fleet silent', severity: 'critical', enabled: true, for_secs: 0, repeat_secs: 3600,
    condition: { kind: 'threshold', metric: 'connections', compare: 'below', window_secs: 60, value: 1, clear_value: 2 },
    channels: channel?.id ? [channel.id] : [],
  });
  await put('/alarm-rules', {
    name: 'many connections', severity: 'warning', enabled: true, for_secs: 60, repeat_secs: null,
    condition: { kind: 'threshold', metric: 'connections', compare: 'above', window_secs: 60, value: 800, clear_value: 700 },
    channels: [],
  });
}
