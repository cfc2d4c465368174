/** What a message of MQTT 5.0 carries beside its payload: as a form holds it, and as the API takes it. */
import type { Schema } from '../../api/client';
import { base64 } from './body';

export type Properties = Schema<'NewMessageProperties'>;

export type TypedProperties = {
  payload_format?: 'text' | 'bytes' | undefined;
  content_type?: string;
  response_topic?: string;
  /** As text; its UTF-8 bytes are what is sent. */
  correlation_data?: string;
  /** A row that was added and not touched yet holds nothing. */
  user_properties?: ({ name?: string; value?: string } | undefined)[];
};

/** What was typed; undefined where nothing was. A user property without a name and a value is one that was not filled in. */
export function propertiesOf(typed: TypedProperties | undefined): Properties | undefined {
  const { payload_format, content_type, response_topic, correlation_data, user_properties = [] } = typed ?? {};
  const some = (text: string | undefined) => (text === undefined || text === '' ? undefined : text);
  const type = some(content_type?.trim());
  const topic = some(response_topic?.trim());
  const data = some(correlation_data);
  const pairs = user_properties
    .map((pair) => ({ name: pair?.name ?? '', value: pair?.value ?? '' }))
    .filter(({ name, value }) => name !== '' || value !== '');
  const properties: Properties = {
    ...(payload_format !== undefined && { payload_format }),
    ...(type !== undefined && { content_type: type }),
    ...(topic !== undefined && { response_topic: topic }),
    ...(data !== undefined && { correlation_data: base64(new TextEncoder().encode(data)) }),
    ...(pairs.length > 0 && { user_properties: pairs }),
  };
  return Object.keys(properties).length === 0 ? undefined : properties;
}
