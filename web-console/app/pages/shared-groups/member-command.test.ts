import { describe, expect, it } from 'vitest';
import { memberCommand } from './member-command';

const ENDPOINTS = {
  host: '127.0.0.1', server_name: null, mqtt: 'mqtt://127.0.0.1:1883', mqtt_port: 1883, username_suffix: '@demo',
};
const MEMBER = { clientId: 'worker-1', group: 'workers', filter: 'vehicle/#', password: '<token>' };

describe('the command of a member', () => {
  it('keeps the shell away from what it would read otherwise', () => {
    expect(memberCommand(ENDPOINTS as never, MEMBER)).toBe([
      'mosquitto_sub -h 127.0.0.1 -p 1883 \\',
      "  -i worker-1 -u worker-1@demo -P '<token>' \\",
      "  -c -q 1 -t '$share/workers/vehicle/#'",
    ].join('\n'));
  });

  it('speaks TLS to the name of the server where there is one', () => {
    const endpoints = { ...ENDPOINTS, server_name: 'demo.mq.example.com', mqtt: 'mqtts://demo.mq.example.com:8883', mqtt_port: 8883 };
    expect(memberCommand(endpoints as never, MEMBER)).toContain('-h demo.mq.example.com -p 8883 --tls-use-os-certs');
  });
});
