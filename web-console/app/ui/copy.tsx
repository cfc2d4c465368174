/** Text to take along: a button that copies, and a field with one. */
import { CheckOutlined, CopyOutlined } from '@ant-design/icons';
import { Button, Tooltip } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import './copy.css';

const SHOWN_MILLIS = 1_500;

async function copy(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  // Pages over plain HTTP have no clipboard; a selection still copies.
  const area = document.createElement('textarea');
  area.value = text;
  area.style.position = 'fixed';
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

type CopyProperties = { text: string; label?: string; size?: 'small' | 'middle'; withText?: boolean };

export function CopyButton({ text, label, size = 'small', withText = false }: CopyProperties) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = window.setTimeout(() => setCopied(false), SHOWN_MILLIS);
    return () => window.clearTimeout(timer);
  }, [copied]);
  const name = copied ? t('copied') : label ?? t('copy');
  const button = (
    <Button
      type={withText ? 'default' : 'text'}
      size={size}
      icon={copied ? <CheckOutlined /> : <CopyOutlined />}
      aria-label={name}
      onClick={(event) => {
        event.stopPropagation();
        void copy(text).then(() => setCopied(true));
      }}
    >
      {withText ? name : undefined}
    </Button>
  );
  return withText ? button : <Tooltip title={name}>{button}</Tooltip>;
}

type FieldProperties = { label?: string; value: string; shown?: string; wrap?: boolean };

/** A value that is copied as a whole; long ones are cut in the middle of the line, never in what is copied. */
export function CopyField({ label, value, shown, wrap = false }: FieldProperties) {
  return (
    <div className="copy-field">
      {label !== undefined && <span className="copy-label">{label}</span>}
      <span className="copy-box">
        <code className={wrap ? 'copy-value copy-wrap' : 'copy-value'}>{shown ?? value}</code>
        <CopyButton text={value} />
      </span>
    </div>
  );
}

/** Text of a program or terminal. */
export function CodeBlock({ code, label }: { code: string; label?: string }) {
  return (
    <div className="code-block">
      {/* A region that scrolls must be reachable by keyboard. */}
      <pre tabIndex={0} aria-label={label}><code>{code}</code></pre>
      <span className="code-copy"><CopyButton text={code} /></span>
    </div>
  );
}
