// JavaScript's `mqtt`, both versions, over TCP and WebSocket: one thing at a time.

import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createRequire } from "node:module";

const environment = process.env;
const require = createRequire(`${environment.IOTMQ_TEST_NODE_MODULES}/`);
const mqtt = require("mqtt");

const PATIENCE_MILLIS = 15_000;
const isV5 = environment.IOTMQ_TEST_VERSION === "5.0";
const isWebSocket = environment.IOTMQ_TEST_WAY === "websocket";
const url = isWebSocket
  ? `ws://${environment.IOTMQ_TEST_HOST}:${environment.IOTMQ_TEST_WEBSOCKET_PORT}/mqtt`
  : `mqtt://${environment.IOTMQ_TEST_HOST}:${environment.IOTMQ_TEST_PORT}`;

/** Settles as `promise` does, or fails after a while. */
async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MILLIS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

class Client {
  constructor(clientId, options = {}) {
    this.messages = [];
    this.arrivals = new EventEmitter();
    this.mqtt = mqtt.connect(url, {
      clientId,
      username: environment.IOTMQ_TEST_USERNAME,
      password: environment.IOTMQ_TEST_TOKEN,
      protocolVersion: isV5 ? 5 : 4,
      reconnectPeriod: 0,
      ...options,
    });
    // It ends in an error or in a CONNACK; both are waited for where they are meant to come.
    this.failed = new Promise((resolve) => this.mqtt.on("error", resolve));
    this.connack = new Promise((resolve) => this.mqtt.on("connect", resolve));
    this.said = new Promise((resolve) => this.mqtt.on("disconnect", resolve));
    this.closed = new Promise((resolve) => this.mqtt.on("close", resolve));
    this.mqtt.on("message", (topic, payload, packet) => {
      this.messages.push({ topic, payload: payload.toString(), packet });
      this.arrivals.emit("one");
    });
  }

  static async connect(clientId, options) {
    const client = new Client(clientId, options);
    const outcome = await within(`CONNACK for ${clientId}`, Promise.race([client.connack, client.failed]));
    assert.ok(!(outcome instanceof Error), `${clientId}: ${outcome}`);
    return client;
  }

  /** Resolves with what was granted for each filter. */
  async subscribe(filters, options) {
    const granted = await within("SUBACK", this.mqtt.subscribeAsync(filters, options));
    return granted.map(({ qos }) => qos);
  }

  async publish(topic, payload, options) {
    await within(`the acknowledgement of ${topic}`, this.mqtt.publishAsync(topic, payload, options));
  }

  async message() {
    while (this.messages.length === 0) {
      await within("a message", once(this.arrivals, "one"));
    }
    return this.messages.shift();
  }

  async expect(topic, payload, attributes = {}) {
    const found = await this.message();
    assert.deepEqual([found.topic, found.payload], [topic, payload]);
    for (const [name, value] of Object.entries(attributes)) {
      assert.equal(found.packet[name], value, `${topic}: ${name}`);
    }
    return found.packet.properties ?? {};
  }

  /** The next messages must be so many numbers, those of one topic in order: one of QoS 2 is handed on when it is released,
   * and may be overtaken until then. */
  async expectNumbers(count) {
    const last = {};
    for (let taken = 0; taken < count; taken++) {
      const { topic, payload } = await this.message();
      assert.ok(Number(payload) > (last[topic] ?? -1), `${topic}: ${payload} behind ${last[topic]}`);
      last[topic] = Number(payload);
    }
    assert.equal(Math.max(...Object.values(last)), count - 1);
  }

  /** Rings a bell that this client hears: the bell must be the next message. */
  async expectNothingBefore(bell) {
    await this.subscribe(bell, { qos: 0 });
    await this.publish(bell, "ring", { qos: 0 });
    await this.expect(bell, "ring");
    await this.mqtt.unsubscribeAsync(bell);
  }

  async end(...how) {
    await within("the end", this.mqtt.endAsync(false, ...how));
  }

  /** Goes without DISCONNECT. */
  async vanish() {
    this.mqtt.stream.destroy();
    await within("the close", this.closed);
    await within("the end", this.mqtt.endAsync(true));
  }
}

const cases = {
  async "messages of every QoS arrive once and in order"() {
    const ear = await Client.connect("ear");
    const mouth = await Client.connect("mouth");
    assert.deepEqual(await ear.subscribe("a/+", { qos: 2 }), [2]);
    for (let number = 0; number < 60; number++) {
      const qos = number % 3;
      await mouth.publish(`a/${qos}`, `message ${number}`, { qos });
      await ear.expect(`a/${qos}`, `message ${number}`, { qos, retain: false, dup: false });
    }
    const large = "x".repeat(300_000);
    await mouth.publish("a/large", large, { qos: 2 });
    await ear.expect("a/large", large);
    await ear.mqtt.unsubscribeAsync("a/+");
    await mouth.publish("a/late", "late", { qos: 1 });
    await ear.expectNothingBefore("bell");
    await ear.end();
    await mouth.end();
  },

  async "what is retained comes to who subscribes later"() {
    const mouth = await Client.connect("mouth");
    await mouth.publish("kept/a", "first", { qos: 1, retain: true });
    await mouth.publish("kept/a", "second", { qos: 2, retain: true });
    const ear = await Client.connect("ear");
    await ear.subscribe("kept/#", { qos: 1 });
    await ear.expect("kept/a", "second", { retain: true, qos: 1 });
    await mouth.publish("kept/a", "", { qos: 1, retain: true });
    await ear.expect("kept/a", "", { retain: false });
    await ear.end();
    await mouth.end();
  },

  async "a will is told of who vanishes"() {
    const ear = await Client.connect("ear");
    await ear.subscribe("wills/#", { qos: 2 });
    const will = { topic: "wills/lost", payload: "dead", qos: 2 };
    const polite = await Client.connect("polite", { will: { ...will, topic: "wills/polite" } });
    await polite.end();
    const lost = await Client.connect("lost", { will });
    await lost.vanish();
    await ear.expect("wills/lost", "dead", { qos: 2 });
    await ear.expectNothingBefore("bell");
    await ear.end();
  },

  async "a session waits for its client"() {
    const lasting = { clean: false, ...(isV5 ? { properties: { sessionExpiryInterval: 300 } } : {}) };
    const first = await Client.connect("away", lasting);
    assert.equal((await first.connack).sessionPresent, false);
    await first.subscribe("w/#", { qos: 2 });
    await first.end();
    const mouth = await Client.connect("mouth");
    for (let number = 0; number < 20; number++) {
      await mouth.publish(`w/${number % 2}`, `${number}`, { qos: 1 + (number % 2) });
    }
    const again = await Client.connect("away", lasting);
    assert.equal((await again.connack).sessionPresent, true);
    await again.expectNumbers(20);
    await again.end();
    await (await Client.connect("away")).end();
    await mouth.end();
  },

  async "members of a group share"() {
    const members = [];
    for (const name of ["one", "two", "three"]) {
      const member = await Client.connect(name);
      assert.deepEqual(await member.subscribe("$share/g/work/#", { qos: 1 }), [1]);
      members.push(member);
    }
    const mouth = await Client.connect("mouth");
    const sent = Array.from({ length: 30 }, (_, number) => `${number}`);
    for (const number of sent) {
      await mouth.publish("work/x", number, { qos: 1 });
    }
    const got = () => members.flatMap(({ messages }) => messages.map(({ payload }) => payload));
    while (got().length < sent.length) {
      await within("the rest", Promise.race(members.map(({ arrivals }) => once(arrivals, "one"))));
    }
    assert.deepEqual(got().sort(), sent.sort());
    await Promise.all([...members, mouth].map((client) => client.end()));
  },

  async "a wrong token is refused"() {
    const stranger = new Client("stranger", { password: "no token" });
    const error = await within("a refusal", stranger.failed);
    assert.ok((isV5 ? [0x86, 0x87] : [4, 5]).includes(error.code), `${error}`);
    await stranger.mqtt.endAsync(true);
  },

  async "who comes under the same name takes over"() {
    const first = await Client.connect("twin");
    const second = await Client.connect("twin");
    await within("the close", first.closed);
    if (isV5) {
      assert.equal((await within("DISCONNECT", first.said)).reasonCode, 0x8e);
    }
    await first.mqtt.endAsync(true);
    await second.end();
  },
};

const casesOfV5 = {
  async "properties of a message arrive unaltered"() {
    const ear = await Client.connect("ear");
    const mouth = await Client.connect("mouth");
    await ear.subscribe("a", { qos: 1 });
    const properties = {
      payloadFormatIndicator: true,
      contentType: "text/plain",
      responseTopic: "answers/here",
      correlationData: Buffer.from([0, 255]),
      userProperties: { one: ["1", "2"], two: "3" },
    };
    await mouth.publish("a", "text", { qos: 1, properties });
    const found = await ear.expect("a", "text");
    for (const name of ["payloadFormatIndicator", "contentType", "responseTopic"]) {
      assert.equal(found[name], properties[name]);
    }
    assert.deepEqual([...found.correlationData], [0, 255]);
    assert.deepEqual(JSON.parse(JSON.stringify(found.userProperties)), properties.userProperties);
    await ear.end();
    await mouth.end();
  },

  async "options of subscriptions are kept"() {
    const one = await Client.connect("one");
    const other = await Client.connect("other");
    await one.subscribe("l", { qos: 1, nl: true });
    await one.publish("l", "mine", { qos: 1 });
    await other.publish("l", "theirs", { qos: 1 });
    await one.expect("l", "theirs");
    await other.publish("r", "kept", { qos: 1, retain: true });
    await one.subscribe("r", { qos: 1, rap: true, rh: 2 });
    await one.expectNothingBefore("bell");
    await other.publish("r", "anew", { qos: 1, retain: true });
    await one.expect("r", "anew", { retain: true });
    await one.subscribe("r", { qos: 1, rap: true, rh: 1 });
    await one.expectNothingBefore("bell");
    await one.subscribe("r", { qos: 1, rap: false, rh: 0 });
    await one.expect("r", "anew", { retain: true });
    await other.publish("r", "", { qos: 1, retain: true });
    await one.expect("r", "", { retain: false });
    await one.subscribe("i/#", { qos: 1, properties: { subscriptionIdentifier: 268_435_455 } });
    await one.publish("i/a", "x", { qos: 1 });
    assert.deepEqual([(await one.expect("i/a", "x")).subscriptionIdentifier].flat(), [268_435_455]);
    await one.end();
    await other.end();
  },

  async "topic aliases work both ways"() {
    const ear = await Client.connect("ear", { properties: { topicAliasMaximum: 4 } });
    const mouth = await Client.connect("mouth", { autoAssignTopicAlias: true });
    assert.ok((await mouth.connack).properties.topicAliasMaximum > 0);
    await ear.subscribe("long/#", { qos: 1 });
    for (let number = 0; number < 60; number++) {
      await mouth.publish(`long/topic/${number % 20}`, `${number}`, { qos: number % 2 });
    }
    for (let number = 0; number < 60; number++) {
      await ear.expect(`long/topic/${number % 20}`, `${number}`);
    }
    await ear.end();
    await mouth.end();
  },

  async "a will waits, and DISCONNECT may ask for it"() {
    const ear = await Client.connect("ear");
    await ear.subscribe("wills/#", { qos: 1 });
    const properties = { sessionExpiryInterval: 60 };
    const will = { topic: "wills/late", payload: "dead", qos: 1, properties: { willDelayInterval: 1, contentType: "x" } };
    const lost = await Client.connect("lost", { properties, will });
    const begun = Date.now();
    await lost.vanish();
    assert.equal((await ear.expect("wills/late", "dead")).contentType, "x");
    assert.ok(Date.now() - begun >= 900, "never early");
    const angry = await Client.connect("angry", { will: { topic: "wills/angry", payload: "dead", qos: 1 } });
    await angry.end({ reasonCode: 4 });
    await ear.expect("wills/angry", "dead");
    await (await Client.connect("lost")).end();
    await ear.end();
  },

  async "a request gets its answer"() {
    const asking = await Client.connect("asking");
    const answering = await Client.connect("answering");
    await asking.subscribe("answers/asking", { qos: 1 });
    await answering.subscribe("questions", { qos: 1 });
    const correlationData = Buffer.from("42");
    await asking.publish("questions", "?", { qos: 1, properties: { responseTopic: "answers/asking", correlationData } });
    const found = await answering.expect("questions", "?");
    const properties = { correlationData: found.correlationData };
    await answering.publish(found.responseTopic, "noon", { qos: 1, properties });
    assert.deepEqual((await asking.expect("answers/asking", "noon")).correlationData, correlationData);
    await asking.end();
    await answering.end();
  },

  async "a refusal says why"() {
    const narrow = await Client.connect("narrow", { password: environment.IOTMQ_TEST_NARROW_TOKEN });
    await assert.rejects(narrow.publish("closed", "x", { qos: 1 }), { code: 0x87 });
    await assert.rejects(narrow.publish("closed", "x", { qos: 2 }), { code: 0x87 });
    await assert.rejects(narrow.subscribe("closed/#", { qos: 1 }), /Not authorized/);
    await narrow.subscribe("open/#", { qos: 1 });
    await narrow.publish("open/a", "x", { qos: 1 });
    await narrow.expect("open/a", "x");
    await narrow.end();
  },

  async "a client without a name gets one"() {
    const nameless = await Client.connect("", { clean: true });
    assert.ok((await nameless.connack).properties.assignedClientIdentifier);
    await nameless.end();
  },

  async "no more is under way than the client takes, and nothing larger"() {
    const ear = await Client.connect("ear", { properties: { receiveMaximum: 2, maximumPacketSize: 200 } });
    const mouth = await Client.connect("mouth");
    await ear.subscribe("many/#", { qos: 2 });
    for (let number = 0; number < 30; number++) {
      await mouth.publish(`many/${number % 2}`, `${number}`, { qos: 1 + (number % 2) });
      await mouth.publish("many/0", "x".repeat(400), { qos: 1 });
    }
    await ear.expectNumbers(30);
    await ear.end();
    await mouth.end();
  },
};

for (const [name, run] of Object.entries(isV5 ? { ...cases, ...casesOfV5 } : cases)) {
  const begun = Date.now();
  await run();
  console.log(`ok: ${name} (${Date.now() - begun} ms)`);
}
// What a client still keeps open would keep the process alive.
process.exit(0);
