/** The service's permission matrix, so that what a role may not do is shown as such. The service decides. */
import type { Schema } from './client';

export type Role = Schema<'Role'>;
export type Standing = Role | 'operator';

const ALL: readonly Standing[] = ['operator', 'owner', 'admin', 'developer', 'viewer'];
const WRITERS: readonly Standing[] = ['operator', 'owner', 'admin', 'developer'];
const ADMINS: readonly Standing[] = ['operator', 'owner', 'admin'];
/** What devices say is their tenant's affair, not the platform's. */
const INSIDERS: readonly Standing[] = ['owner', 'admin', 'developer'];
const OPERATORS: readonly Standing[] = ['operator'];

export const MATRIX = {
  read: ALL,
  'credentials:read': ALL,
  'audit:read': ADMINS,
  'topics:write': WRITERS,
  'credentials:write': WRITERS,
  'tokens:issue': WRITERS,
  'messages:read': ALL,
  'messages:read_payload': INSIDERS,
  'messages:publish': WRITERS,
  'tokens:revoke': WRITERS,
  'alarms:write': WRITERS,
  'channels:write': WRITERS,
  'keys:write': ADMINS,
  'instances:write': ADMINS,
  'instances:delete': ADMINS,
  'tenant:write': ADMINS,
  'platform:tenants': OPERATORS,
  'platform:plans': OPERATORS,
  'platform:nodes': OPERATORS,
} as const satisfies Record<string, readonly Standing[]>;

export type Permission = keyof typeof MATRIX;

export function allows(standings: readonly Standing[], permission: Permission): boolean {
  return standings.some((standing) => MATRIX[permission].includes(standing));
}

/** In what standings the session's member asks about a tenant: its role there, and running the platform. */
export function standingsIn(session: Schema<'Session'>, tenantId: string): Standing[] {
  const role = session.tenants.find(({ id }) => id === tenantId)?.role;
  return [...(role === undefined ? [] : [role]), ...(session.member.operator ? ['operator' as const] : [])];
}
