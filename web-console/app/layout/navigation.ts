/** The doors and the pages behind them. A page is listed when it is there. */
import {
  AlertOutlined, AppstoreOutlined, ControlOutlined, DashboardOutlined, KeyOutlined, MessageOutlined, NotificationOutlined, RocketOutlined,
  SafetyCertificateOutlined, ShareAltOutlined, TagsOutlined,
} from '@ant-design/icons';
import type { ComponentType } from 'react';

export type PageName = keyof typeof import('../i18n/en/layout.json')['pages'];
export type DoorName = keyof typeof import('../i18n/en/layout.json')['doors'];

export type Entry = { page: PageName; path: string; icon?: ComponentType };
export type Door = { door: DoorName; entries: Entry[] };

/** Below `/instances/{id}`. */
export const INSTANCE_DOORS: Door[] = [
  {
    door: 'overview',
    entries: [
      { page: 'overview', path: 'overview', icon: DashboardOutlined },
      { page: 'getStarted', path: 'get-started', icon: RocketOutlined },
      { page: 'settings', path: 'settings', icon: ControlOutlined },
    ],
  },
  {
    door: 'access',
    entries: [
      { page: 'tokens', path: 'tokens', icon: KeyOutlined },
      { page: 'credentials', path: 'credentials', icon: SafetyCertificateOutlined },
    ],
  },
  {
    door: 'messages',
    entries: [
      { page: 'topics', path: 'topics', icon: TagsOutlined },
      { page: 'messages', path: 'messages', icon: MessageOutlined },
    ],
  },
  {
    door: 'clients',
    entries: [{ page: 'sharedGroups', path: 'shared-subscriptions', icon: ShareAltOutlined }],
  },
  {
    door: 'operations',
    entries: [
      { page: 'alarms', path: 'alarms', icon: AlertOutlined },
      { page: 'channels', path: 'channels', icon: NotificationOutlined },
    ],
  },
];

/** Below `/tenants/{id}`. */
export const TENANT_DOOR: Door = {
  door: 'tenant',
  entries: [{ page: 'instances', path: 'instances', icon: AppstoreOutlined }],
};
