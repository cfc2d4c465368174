/** "Show the call": what a form or page would send, as a line for the terminal. */
import { CodeOutlined } from '@ant-design/icons';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type Call, curl } from '../util/curl';
import { CodeBlock } from './copy';

export function ShowCall({ call }: { call: Call | (() => Call) }) {
  const { t } = useTranslation();
  const [shown, setShown] = useState<Call | null>(null);
  return (
    <>
      <Button type="text" icon={<CodeOutlined />} onClick={() => setShown(typeof call === 'function' ? call() : call)}>
        {t('showTheCall')}
      </Button>
      <Modal title={t('showTheCall')} open={shown !== null} onCancel={() => setShown(null)} footer={null} width={640}>
        <p className="soft">{t('showTheCallMeaning')}</p>
        {shown !== null && <CodeBlock code={curl(shown, window.location.origin)} label={t('showTheCall')} />}
      </Modal>
    </>
  );
}
