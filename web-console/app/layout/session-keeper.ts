/** Keeps the session of somebody who is working from ending under their hands. */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { api, call } from '../api/client';
import { sessionQuery } from '../api/queries';

const EVERY_MILLIS = 1_800_000;

export function useSessionKeeper(): void {
  const client = useQueryClient();
  useEffect(() => {
    let worked = false;
    const note = () => { worked = true; };
    const renew = () => {
      if (!worked) return;
      worked = false;
      // A session that cannot be renewed is noticed by the next query.
      call(api.POST('/v1/session/refresh'))
        .then(() => client.invalidateQueries(sessionQuery))
        .catch(() => undefined);
    };
    const events = ['keydown', 'pointerdown'] as const;
    for (const event of events) window.addEventListener(event, note, { passive: true });
    const timer = window.setInterval(renew, EVERY_MILLIS);
    return () => {
      for (const event of events) window.removeEventListener(event, note);
      window.clearInterval(timer);
    };
  }, [client]);
}
