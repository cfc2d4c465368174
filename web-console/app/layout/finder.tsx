/** Ctrl-K: a field that leads to pages, instances, topics, clients and messages. */
import { SearchOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Button, Input, Modal, Tooltip } from 'antd';
import { type KeyboardEvent, useEffect, useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { instancesQuery, topicsQuery } from '../api/queries';
import { find, type Place } from './find';
import { INSTANCE_DOORS, TENANT_DOOR } from './navigation';
import './finder.css';

type Properties = { tenantId: string | null; instanceId: string | null };

export function Finder(properties: Properties) {
  const { t } = useTranslation('layout');
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const listen = (event: globalThis.KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        setOpen((now) => !now);
      }
    };
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }, []);
  return (
    <>
      <Tooltip title={`${t('find.open')} (${t('find.keys')})`}>
        <Button type="text" icon={<SearchOutlined />} aria-label={t('find.open')} onClick={() => setOpen(true)} />
      </Tooltip>
      <Modal open={open} onCancel={() => setOpen(false)} footer={null} closable={false} destroyOnHidden width={560}
        className="finder" aria-label={t('find.open')}>
        <Field {...properties} onChosen={() => setOpen(false)} />
      </Modal>
    </>
  );
}

function Field({ onChosen, ...properties }: Properties & { onChosen: () => void }) {
  const { t } = useTranslation('layout');
  const navigate = useNavigate();
  const list = useId();
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  const places = usePlaces(typed, properties);
  const current = Math.min(at, places.length - 1);
  const go = (place: Place | undefined) => {
    if (place === undefined) return;
    onChosen();
    void navigate({ href: place.path } as never);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    setAt((current + step + places.length) % places.length);
  };
  return (
    <>
      <Input autoFocus size="large" variant="borderless" prefix={<SearchOutlined />} value={typed} role="combobox"
        placeholder={t('find.placeholder')} aria-label={t('find.placeholder')} aria-expanded aria-controls={list}
        aria-activedescendant={`${list}-${current}`} autoComplete="off" spellCheck={false}
        onChange={(event) => { setTyped(event.target.value); setAt(0); }}
        onKeyDown={onKey} onPressEnter={() => go(places[current])} />
      <ul id={list} role="listbox" aria-label={t('find.open')}>
        {places.map((place, index) => (
          <li key={place.kind + place.path} id={`${list}-${index}`} role="option" aria-selected={index === current}
            onMouseEnter={() => setAt(index)} onClick={() => go(place)}>
            <span className="cut">{place.label}</span><span className="soft">{t(`find.${place.kind}`)}</span>
          </li>
        ))}
        {places.length === 0 && <li className="soft">{t('find.nothing')}</li>}
      </ul>
    </>
  );
}

function usePlaces(typed: string, { tenantId, instanceId }: Properties): Place[] {
  const { t } = useTranslation('layout');
  const { data: instances } = useQuery({ ...instancesQuery(tenantId ?? ''), enabled: tenantId !== null });
  const { data: topics } = useQuery({ ...topicsQuery(instanceId ?? ''), enabled: instanceId !== null });
  const doors = [
    ...(instanceId === null ? [] : INSTANCE_DOORS.map((door) => ({ ...door, base: `/instances/${instanceId}` }))),
    ...(tenantId === null ? [] : [{ ...TENANT_DOOR, base: `/tenants/${tenantId}` }]),
  ];
  return find(typed, {
    instanceId,
    pages: doors.flatMap(({ base, entries }) =>
      entries.map(({ page, path }) => ({ label: t(`pages.${page}`), path: `${base}/${path}` }))),
    instances: instances?.items ?? [],
    topics: (topics?.items ?? []).map(({ name }) => name),
    words: {
      below: (topic) => t('find.below', { topic }),
      ofClient: (client) => t('find.ofClient', { client }),
      byId: (id) => t('find.byId', { id }),
    },
  });
}
