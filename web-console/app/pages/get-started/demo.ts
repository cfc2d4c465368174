/** The demo's token: issued on demand, kept while the page is open and nowhere else. */
import { useQueryClient, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, call, type Schema, WAIT } from '../../api/client';
import { topicsQuery } from '../../api/queries';
import { useErrorToast } from '../../ui/error';

const TTL_SECS = 3_600;

export type Demo = {
  /** The first level of its topics. */
  topic: string;
  device: Schema<'IssuedToken'> & { client_id: string };
  /** The browser's own, for the live check. */
  browser: Schema<'IssuedToken'> & { client_id: string };
  issuedAt: number;
};

const demoKey = (instanceId: string) => ['demo', instanceId] as const;

export function useDemo(instance: Schema<'Instance'>) {
  const client = useQueryClient();
  const toast = useErrorToast();
  const [busy, setBusy] = useState(false);
  const { data: demo } = useQuery<Demo | null>({
    queryKey: demoKey(instance.id), queryFn: () => null, staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  });
  const issue = async (topic: string) => {
    setBusy(true);
    try {
      await provide(instance, topic, await client.fetchQuery(topicsQuery(instance.id)));
      const [device, browser] = await Promise.all([
        issueToken(instance.id, `demo-${random()}`, topic), issueToken(instance.id, `browser-${random()}`, topic),
      ]);
      client.setQueryData(demoKey(instance.id), { topic, device, browser, issuedAt: Date.now() } satisfies Demo);
      await client.invalidateQueries(topicsQuery(instance.id));
    } catch (thrown) {
      toast(thrown);
    } finally {
      setBusy(false);
    }
  };
  return { demo: demo ?? null, busy, issue };
}

/** Makes the topic where the instance takes only provisioned ones. */
async function provide(instance: Schema<'Instance'>, topic: string, there: Schema<'TopicList'>): Promise<void> {
  if (instance.topic_mode === 'open' || there.items.some(({ name }) => name === topic)) return;
  await call(api.POST('/v1/instances/{instance_id}/topics', {
    params: { path: { instance_id: instance.id }, ...WAIT }, body: { name: topic },
  }));
}

async function issueToken(instanceId: string, clientId: string, topic: string): Promise<Demo['device']> {
  const issued = await call(api.POST('/v1/instances/{instance_id}/tokens', {
    params: { path: { instance_id: instanceId } },
    body: {
      client_id: clientId, ttl_secs: TTL_SECS, labels: { purpose: 'get-started' },
      grants: [{ actions: ['publish', 'subscribe'], topic_filter: `${topic}/#`, qos_max: 1 }],
    },
  }));
  return { ...issued, client_id: clientId };
}

/** Six characters that tell one demo from another. */
function random(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  return [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => letters[byte % letters.length]).join('');
}
