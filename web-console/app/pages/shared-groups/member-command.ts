/** The line for the terminal that makes a member of a group. */
import type { Schema } from '../../api/client';
import { quoted } from '../../util/shell';

export type Member = { clientId: string; group: string; filter: string; password: string };

export function memberCommand(endpoints: Schema<'Endpoints'>, { clientId, group, filter, password }: Member): string {
  const tls = endpoints.mqtt.startsWith('mqtts:') ? ' --tls-use-os-certs' : '';
  return [
    `mosquitto_sub -h ${quoted(endpoints.server_name ?? endpoints.host)} -p ${endpoints.mqtt_port}${tls} \\`,
    `  -i ${quoted(clientId)} -u ${quoted(clientId + endpoints.username_suffix)} -P ${quoted(password)} \\`,
    `  -c -q 1 -t ${quoted(`$share/${group}/${filter}`)}`,
  ].join('\n');
}
