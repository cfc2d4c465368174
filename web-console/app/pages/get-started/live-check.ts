/** The browser as an MQTT client: subscribes over WebSocket with a token of its own and shows what arrives. */
import type { MqttClient } from 'mqtt';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { Demo } from './demo';

export type Arrived = {
  topic: string; payload: Uint8Array; qos: number; at: Date; fromHere: boolean;
};

export type LiveState =
  | { kind: 'off' | 'connecting' | 'listening' }
  /** Why, as the library says; null where there was no answer at all. */
  | { kind: 'failed'; reason: string | null };

/** As many messages as are shown; older ones go. */
const SHOWN_MAX = 20;
const RECONNECT_MILLIS = 3_000;
const CONNECT_MILLIS = 10_000;

export type LiveCheck = {
  state: LiveState;
  /** Newest first. */
  messages: Arrived[];
  /** How often this browser has connected: not to be taken for a device. */
  connects: number;
  /** Publishes from here; answers after how many milliseconds it was acknowledged. */
  publish: (topic: string, payload: string) => Promise<number>;
};

export function useLiveCheck(demo: Demo | null, usernameSuffix: string): LiveCheck {
  const [state, setState] = useState<LiveState>({ kind: 'off' });
  const [messages, setMessages] = useState<Arrived[]>([]);
  const [connects, setConnects] = useState(0);
  const client = useRef<MqttClient | null>(null);
  const sent = useRef(new Set<string>());

  useEffect(() => {
    if (demo === null) return undefined;
    let over = false;
    setState({ kind: 'connecting' });
    setMessages([]);
    // The library is as large as the rest of the page: it comes when it is needed.
    void import('mqtt').then(({ default: mqtt }) => {
      if (over) return;
      const connection = mqtt.connect(webSocketUrl(), options(demo, usernameSuffix));
      client.current = connection;
      connection.on('connect', () => {
        setConnects((count) => count + 1);
        connection.subscribe(`${demo.topic}/#`, { qos: 1 }, (error) =>
          setState(error ? { kind: 'failed', reason: error.message } : { kind: 'listening' }));
      });
      connection.on('error', (error) => setState({ kind: 'failed', reason: error.message }));
      let answered = false;
      connection.on('packetreceive', () => { answered = true; });
      connection.on('close', () => {
        const silent = !answered;
        answered = false;
        setState((now) => (now.kind === 'failed' ? now : silent ? { kind: 'failed', reason: null } : { kind: 'connecting' }));
      });
      connection.on('message', (topic, payload, packet) => {
        const fromHere = sent.current.delete(signature(topic, payload));
        const arrived = { topic, payload: new Uint8Array(payload), qos: packet.qos, at: new Date(), fromHere };
        setMessages((before) => [arrived, ...before].slice(0, SHOWN_MAX));
      });
    }).catch((thrown: unknown) => {
      if (!over) setState({ kind: 'failed', reason: thrown instanceof Error ? thrown.message : String(thrown) });
    });
    return () => {
      over = true;
      client.current?.end(true);
      client.current = null;
    };
  }, [demo, usernameSuffix]);

  const publish = useCallback(async (topic: string, payload: string) => {
    const connection = client.current;
    if (connection === null) throw new Error('not connected');
    const from = performance.now();
    sent.current.add(signature(topic, new TextEncoder().encode(payload)));
    await connection.publishAsync(topic, payload, { qos: 1 });
    return Math.max(1, Math.round(performance.now() - from));
  }, []);
  return { state, messages, connects, publish };
}

/** MQTT over WebSocket is served where the console is. */
function webSocketUrl(): string {
  const { protocol, host } = window.location;
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}/mqtt`;
}

function options(demo: Demo, usernameSuffix: string) {
  return {
    protocolVersion: 4 as const, clean: true, keepalive: 30,
    clientId: demo.browser.client_id,
    username: `${demo.browser.client_id}${usernameSuffix}`,
    password: demo.browser.token,
    reconnectPeriod: RECONNECT_MILLIS, connectTimeout: CONNECT_MILLIS,
    // The content policy allows no worker made from text, which the other timers would need.
    timerVariant: 'native' as const,
  };
}

function signature(topic: string, payload: Uint8Array): string {
  return `${topic}\n${Array.from(payload).join()}`;
}
