/** The field of a form for labels, and labels in a list. */
import { Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { parseLabels } from './labels';
import { Badge } from './status';

export function LabelField() {
  const { t } = useTranslation('grants');
  return (
    <Form.Item name="labels" label={t('labels')} extra={t('labelsHelp')} rules={[{
      validator: (_, text: string) =>
        parseLabels(text ?? '') === null ? Promise.reject(new Error(t('labelsForm'))) : Promise.resolve(),
    }]}>
      <Input placeholder="fleet=a, site=north" autoComplete="off" />
    </Form.Item>
  );
}

export function LabelWords({ labels }: { labels: Record<string, string> }) {
  return (
    <span className="row" style={{ gap: 4 }}>
      {Object.entries(labels).map(([name, value]) => <Badge key={name}>{name}={value}</Badge>)}
    </span>
  );
}
