/** The choice of which messages are logged, each with one sentence of what it means. */
import { Form, Select } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../api/client';

export type DurabilityClass = Schema<'DurabilityClass'>;
/** What a topic's form holds where the topic does not say itself. */
export type OwnDurability = DurabilityClass | 'instance';

const CLASSES = ['relay', 'logged', 'always', 'synced'] as const satisfies readonly DurabilityClass[];

type Choice = { value: OwnDurability; label: string; meaning: string };

function useClasses(): Choice[] {
  const { t } = useTranslation('instances');
  return CLASSES.map((value) => ({ value, label: t(`classes.${value}`), meaning: t(`classHelp.${value}`) }));
}

/** For an instance: the class of topics that do not say themselves. */
export function InstanceDurabilityField() {
  const { t } = useTranslation('instances');
  return <DurabilityField label={t('durability')} help={t('durabilityHelp')} choices={useClasses()} />;
}

/** For a topic: its own class, or the instance's. */
export function TopicDurabilityField({ ofInstance }: { ofInstance: DurabilityClass }) {
  const { t } = useTranslation('topics');
  const classes = useClasses();
  const inherited = classes.find(({ value }) => value === ofInstance)?.label ?? ofInstance;
  const choices: Choice[] = [
    { value: 'instance', label: `${t('asInstance')} · ${inherited}`, meaning: t('asInstanceHelp') }, ...classes,
  ];
  return <DurabilityField label={t('durability')} help={t('durabilityHelp')} choices={choices} />;
}

type Properties = { label: string; help: string; choices: Choice[] };

function DurabilityField({ label, help, choices }: Properties) {
  const chosen = Form.useWatch<OwnDurability | undefined>('durability');
  const meaning = choices.find(({ value }) => value === chosen)?.meaning;
  return (
    <Form.Item name="durability" label={label} extra={meaning ?? help} tooltip={help} required>
      <Select<OwnDurability, Choice> options={choices} listHeight={340} optionRender={({ data }) => (
        <>{data.label}<div className="soft" style={{ whiteSpace: 'normal' }}>{data.meaning}</div></>
      )} />
    </Form.Item>
  );
}
