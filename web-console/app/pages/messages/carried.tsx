/** What a message of MQTT 5.0 carries beside its payload, as facts. */
import { Fragment } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schema } from '../../api/client';
import { CopyButton } from '../../ui/copy';
import { bodyText, bytesOf, visible } from './body';

type Properties = Schema<'MessageProperties'>;

export function Carried({ properties }: { properties: Properties }) {
  const { t } = useTranslation('messages');
  const { payload_format, content_type, response_topic, correlation_data, user_properties } = properties;
  const data = correlation_data == null ? null : bytesOf({ encoding: 'base64', data: correlation_data });
  return (
    <section className="stack" aria-label={t('properties')}>
      <h3 className="message-part">{t('properties')}</h3>
      <dl className="message-facts">
        {payload_format != null && <><dt>{t('payloadFormat')}</dt><dd>{t(`payloadFormats.${payload_format}`)}</dd></>}
        {content_type != null && <><dt>{t('contentType')}</dt><dd><code>{visible(content_type)}</code></dd></>}
        {response_topic != null && (
          <><dt>{t('responseTopic')}</dt><dd><code>{visible(response_topic)}</code> <CopyButton text={response_topic} /></dd></>
        )}
        {data !== null && <><dt>{t('correlationData')}</dt><dd><code>{visible(bodyText(data))}</code></dd></>}
        {user_properties.length > 0 && (
          <>
            <dt>{t('userProperties')}</dt>
            <dd>
              {user_properties.map(({ name, value }, at) => (
                <Fragment key={at}>
                  {at > 0 && <br />}
                  <code>{visible(name)}</code> <span className="soft">=</span> <code>{visible(value)}</code>
                </Fragment>
              ))}
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}
