"""paho-mqtt, one thing at a time: what a script says next is what its client does next. Both versions."""

import os
import queue
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 15
HOST = os.environ["IOTMQ_TEST_HOST"]
PORT = int(os.environ["IOTMQ_TEST_PORT"])
WEBSOCKET_PORT = int(os.environ["IOTMQ_TEST_WEBSOCKET_PORT"])
USERNAME = os.environ["IOTMQ_TEST_USERNAME"]
TOKEN = os.environ["IOTMQ_TEST_TOKEN"]
# May publish and subscribe below `open` alone.
NARROW_TOKEN = os.environ["IOTMQ_TEST_NARROW_TOKEN"]


def properties(packet, **values):
    """Properties of a packet, by their names in the standard without the spaces."""
    made = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Refused(Exception):
    """CONNECT was refused."""

    def __init__(self, code, found):
        super().__init__(f"refused: {code}")
        self.code = code
        self.properties = found


class Client:
    """A client. What comes waits in a queue until it is asked for."""

    def __init__(self, client_id, protocol, *, websocket=False, clean=True, token=TOKEN, will=None, keep_alive=60):
        self.is_v5 = protocol == mqtt.MQTTv5
        transport = "websockets" if websocket else "tcp"
        if self.is_v5:
            self.paho = mqtt.Client(client_id, protocol=protocol, transport=transport)
        else:
            self.paho = mqtt.Client(client_id, clean_session=clean, protocol=protocol, transport=transport)
        if websocket:
            self.paho.ws_set_options(path="/mqtt")
        self.port = WEBSOCKET_PORT if websocket else PORT
        self.clean = clean
        self.keep_alive = keep_alive
        self.paho.username_pw_set(USERNAME, token)
        if will is not None:
            self.paho.will_set(**will)
        self.messages = queue.Queue()
        self.answers = queue.Queue()
        self.ended = queue.Queue()
        self.paho.on_connect = lambda _client, _data, flags, code, *found: self.answers.put((flags, code, *found))
        self.paho.on_message = lambda _client, _data, message: self.messages.put(message)
        self.paho.on_subscribe = lambda _client, _data, _mid, codes, *_: self.answers.put(codes)
        self.paho.on_unsubscribe = lambda _client, _data, _mid, *found: self.answers.put(found)
        self.paho.on_disconnect = lambda _client, _data, code, *found: self.ended.put((code, *found))
        self.session_present = None
        self.connack = None

    def connect(self, **found):
        """Connects; with 5.0, with these properties."""
        if self.is_v5:
            self.paho.connect(
                HOST, self.port, self.keep_alive, clean_start=self.clean, properties=properties("CONNECT", **found)
            )
        else:
            self.paho.connect(HOST, self.port, self.keep_alive)
        self.paho.loop_start()
        flags, code, *rest = self.answers.get(timeout=PATIENCE)
        number = code.value if self.is_v5 else code
        if number != 0:
            self.paho.loop_stop()
            raise Refused(number, rest[0] if rest else None)
        self.session_present = flags["session present"] == 1
        self.connack = rest[0] if rest else None
        return self

    def subscribe(self, *arguments, **more):
        """Subscribes; answers the codes as numbers."""
        self.paho.subscribe(*arguments, **more)
        codes = self.answers.get(timeout=PATIENCE)
        return [code.value if self.is_v5 else code for code in codes]

    def unsubscribe(self, *arguments):
        """Ends subscriptions; answers the codes of 5.0 as numbers."""
        self.paho.unsubscribe(*arguments)
        found = self.answers.get(timeout=PATIENCE)
        if not self.is_v5:
            return []
        codes = found[1] if isinstance(found[1], list) else [found[1]]
        return [code.value for code in codes]

    def publish(self, topic, payload, qos=0, retain=False, **found):
        """Publishes and waits until it is acknowledged as far as its QoS says."""
        more = {"properties": properties("PUBLISH", **found)} if found else {}
        published = self.paho.publish(topic, payload, qos, retain, **more)
        published.wait_for_publish(PATIENCE)
        assert published.is_published(), f"{topic} at QoS {qos} is not acknowledged"

    def message(self):
        """The next message."""
        return self.messages.get(timeout=PATIENCE)

    def expect(self, topic, payload, **attributes):
        """The next message must be this one."""
        found = self.message()
        assert (found.topic, found.payload.decode()) == (topic, payload), (found.topic, found.payload, topic, payload)
        for name, value in attributes.items():
            assert getattr(found, name) == value, (topic, name, getattr(found, name), value)
        return found

    def expect_in_order(self, sent):
        """The next messages must be these, pairs of topic and payload: those of one topic in order. A client hands on
        one of QoS 2 only when it is released, so that those of another QoS may overtake it."""
        found = [self.message() for _ in sent]
        for topic in {topic for topic, _ in sent}:
            came = [message.payload.decode() for message in found if message.topic == topic]
            assert came == [payload for of, payload in sent if of == topic], (topic, came)

    def expect_nothing_before(self, bell):
        """Rings a bell that this client hears: the bell must be the next message."""
        self.subscribe(bell, 0)
        self.publish(bell, "ring", 0)
        self.expect(bell, "ring")
        self.unsubscribe(bell)

    def disconnect(self, reason=None, **found):
        """DISCONNECT, and waits until it is sent."""
        if self.is_v5:
            self.paho.disconnect(reason, properties("DISCONNECT", **found) if found else None)
        else:
            self.paho.disconnect()
        self.ended.get(timeout=PATIENCE)
        self.paho.loop_stop()

    def vanish(self):
        """Goes without DISCONNECT, as a client that has lost its network, and does not come back."""
        self.paho.loop_stop()
        self.paho._sock_close()

    def disconnected(self):
        """Waits until the broker has closed; answers what it said: a code, with 5.0 a code and properties."""
        said = self.ended.get(timeout=PATIENCE)
        # Without this it would come back by itself. It runs on another thread than the callback.
        self.paho.disconnect()
        self.paho.loop_stop()
        return said


def run(cases):
    """Runs every case, and says which."""
    for case in cases:
        begun = time.monotonic()
        case()
        print(f"ok: {case.__name__.replace('_', ' ')} ({time.monotonic() - begun:.1f} s)", flush=True)
    left = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    assert all(thread.daemon for thread in left), left
