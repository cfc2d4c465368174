/** Programs that connect and publish one message, with everything filled in. */
export const PROGRAMS = ['mosquitto', 'Python', 'JavaScript', 'Go', 'C', 'Java', 'Arduino'] as const;
export type Program = (typeof PROGRAMS)[number];

export type Connection = {
  host: string; port: number; tls: boolean; clientId: string; username: string; password: string; topic: string;
};

export type Snippet = { needs: string; code: string };

export function snippet(program: Program, connection: Connection): Snippet {
  return SNIPPETS[program](connection);
}

/** A string literal of the C family; the texts hold nothing that these languages read otherwise. */
const text = (value: string) => JSON.stringify(value);
/** A word of a POSIX shell. */
const word = (value: string) => `'${value.replaceAll("'", String.raw`'\''`)}'`;

const SNIPPETS: Record<Program, (connection: Connection) => Snippet> = {
  mosquitto: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'mosquitto-clients',
    code: [
      `mosquitto_pub -h ${host} -p ${port}${tls ? ' --tls-use-os-certs' : ''} \\`,
      `  -i ${word(clientId)} -u ${word(username)} \\`,
      `  -P ${word(password)} \\`,
      `  -q 1 -t ${word(topic)} -m 'hello, world'`,
    ].join('\n'),
  }),

  Python: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'pip install paho-mqtt',
    code: `import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=${text(clientId)})
client.username_pw_set(
    ${text(username)},
    ${text(password)},
)
${tls ? 'client.tls_set()\n' : ''}client.connect(${text(host)}, ${port})
client.loop_start()
client.publish(${text(topic)}, "hello from Python", qos=1).wait_for_publish(10)
client.disconnect()
client.loop_stop()`,
  }),

  JavaScript: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'npm install mqtt',
    code: `import mqtt from 'mqtt';

const client = await mqtt.connectAsync('${tls ? 'mqtts' : 'mqtt'}://${host}:${port}', {
  clientId: ${text(clientId)},
  username: ${text(username)},
  password: ${text(password)},
});
await client.publishAsync(${text(topic)}, 'hello from JavaScript', { qos: 1 });
await client.endAsync();`,
  }),

  Go: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'go get github.com/eclipse/paho.mqtt.golang',
    code: `package main

import (
	"log"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func main() {
	options := mqtt.NewClientOptions().
		AddBroker("${tls ? 'ssl' : 'tcp'}://${host}:${port}").
		SetClientID(${text(clientId)}).
		SetUsername(${text(username)}).
		SetPassword(${text(password)})
	client := mqtt.NewClient(options)
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		log.Fatal(token.Error())
	}
	client.Publish(${text(topic)}, 1, false, "hello from Go").Wait()
	client.Disconnect(250)
}`,
  }),

  C: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'libmosquitto-dev · cc demo.c -lmosquitto',
    code: `#include <mosquitto.h>

static void connected(struct mosquitto *client, void *unused, int code)
{
    if (code != 0)
        mosquitto_disconnect(client);
    else
        mosquitto_publish(client, NULL, ${text(topic)}, 12, "hello from C", 1, false);
}

static void published(struct mosquitto *client, void *unused, int id)
{
    mosquitto_disconnect(client);
}

int main(void)
{
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(${text(clientId)}, true, NULL);
    mosquitto_username_pw_set(client,
        ${text(username)},
        ${text(password)});
${tls ? '    mosquitto_int_option(client, MOSQ_OPT_TLS_USE_OS_CERTS, 1);\n' : ''}    mosquitto_connect_callback_set(client, connected);
    mosquitto_publish_callback_set(client, published);
    if (mosquitto_connect(client, ${text(host)}, ${port}, 60) != MOSQ_ERR_SUCCESS)
        return 1;
    return mosquitto_loop_forever(client, -1, 1);
}`,
  }),

  Java: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'org.eclipse.paho:org.eclipse.paho.client.mqttv3:1.2.5',
    code: `import org.eclipse.paho.client.mqttv3.*;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

public class Demo {
    public static void main(String[] arguments) throws MqttException {
        var options = new MqttConnectOptions();
        options.setUserName(${text(username)});
        options.setPassword(${text(password)}.toCharArray());
        var client = new MqttClient("${tls ? 'ssl' : 'tcp'}://${host}:${port}",
            ${text(clientId)}, new MemoryPersistence());
        client.connect(options);
        client.publish(${text(topic)}, "hello from Java".getBytes(), 1, false);
        client.disconnect();
        client.close();
    }
}`,
  }),

  Arduino: ({ host, port, tls, clientId, username, password, topic }) => ({
    needs: 'PubSubClient · ESP32',
    code: `#include <WiFi.h>
${tls ? '#include <WiFiClientSecure.h>\n' : ''}#include <PubSubClient.h>

${tls ? 'WiFiClientSecure' : 'WiFiClient'} network;
PubSubClient client(network);

void setup() {
  WiFi.begin("your network", "its password");
  while (WiFi.status() != WL_CONNECTED) delay(200);
${tls ? '  // network.setCACert(certificate) checks the server.\n  network.setInsecure();\n' : ''}  client.setServer(${text(host)}, ${port});
  // The token is longer than the packets that the library expects.
  client.setBufferSize(2048);
}

void loop() {
  if (!client.connected() && !client.connect(${text(clientId)},
      ${text(username)},
      ${text(password)})) {
    delay(5000);
    return;
  }
  client.publish(${text(topic)}, "hello from Arduino");
  client.loop();
  delay(10000);
}`,
  }),
};
