"""paho-mqtt speaking MQTT 5.0, and hearing and being heard by 3.1.1."""

import os
import time

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCodes
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions
from paho_client import Client, NARROW_TOKEN, Refused, properties, run

WEBSOCKET = os.environ["IOTMQ_TEST_WAY"] == "websocket"
NOT_AUTHORIZED = 0x87


def client(client_id, **more):
    return Client(client_id, mqtt.MQTTv5, websocket=WEBSOCKET, **more)


def old_client(client_id, **more):
    return Client(client_id, mqtt.MQTTv311, websocket=WEBSOCKET, **more)


def subscribe(ear, topic, identifier=None, **options):
    found = properties("SUBSCRIBE", SubscriptionIdentifier=identifier) if identifier else None
    return ear.subscribe(topic, options=SubscribeOptions(**options), properties=found)


def messages_of_every_qos_arrive_once_and_in_order():
    ear, mouth = client("ear").connect(), client("mouth").connect()
    assert subscribe(ear, "a/+", qos=2) == [2]
    for number in range(60):
        mouth.publish(f"a/{number % 3}", f"message {number}", qos=number % 3)
        ear.expect(f"a/{number % 3}", f"message {number}", qos=number % 3, retain=False, dup=False)
    assert ear.unsubscribe("a/+") == [0]
    assert ear.unsubscribe("a/+") == [0x11], "no subscription existed"
    mouth.publish("a/late", "late", qos=1)
    ear.expect_nothing_before("bell")
    ear.disconnect()
    mouth.disconnect()


def properties_of_a_message_arrive_unaltered():
    ear, mouth = client("ear").connect(), client("mouth").connect()
    subscribe(ear, "a", qos=1)
    pairs = [("b", "2"), ("a", "1"), ("b", "2"), ("", "空")]
    mouth.publish(
        "a", "text", qos=1, PayloadFormatIndicator=1, ContentType="text/plain", ResponseTopic="answers/here",
        CorrelationData=b"\x00\xff", UserProperty=pairs,
    )
    found = ear.expect("a", "text").properties
    assert found.PayloadFormatIndicator == 1 and found.ContentType == "text/plain", found
    assert found.ResponseTopic == "answers/here" and found.CorrelationData == b"\x00\xff", found
    assert found.UserProperty == pairs, found.UserProperty
    mouth.publish("a", "bare", qos=1)
    assert ear.expect("a", "bare").properties.isEmpty()
    ear.disconnect()
    mouth.disconnect()


def both_versions_hear_each_other():
    new, old = client("new").connect(), old_client("old").connect()
    subscribe(new, "to/new", qos=2)
    old.subscribe("to/old", 2)
    for qos in range(3):
        old.publish("to/new", "from old", qos)
        assert new.expect("to/new", "from old", qos=qos).properties.isEmpty()
        new.publish("to/old", "from new", qos, ContentType="text/plain", UserProperty=[("a", "b")])
        old.expect("to/old", "from new", qos=qos)
    new.disconnect()
    old.disconnect()


def no_local_and_retain_as_published_and_retain_handling():
    one = client("one").connect()
    other = client("other").connect()
    subscribe(one, "l", qos=1, noLocal=True)
    one.publish("l", "mine", 1)
    other.publish("l", "theirs", 1)
    one.expect("l", "theirs")
    other.publish("r/a", "kept", 1, retain=True)
    subscribe(one, "r/#", qos=1, retainAsPublished=True)
    one.expect("r/a", "kept", retain=True)
    other.publish("r/a", "anew", 1, retain=True)
    one.expect("r/a", "anew", retain=True)
    other.publish("r/a", "plain", 1)
    one.expect("r/a", "plain", retain=False)
    # 1: only if the subscription is new; 2: never; 0: always.
    subscribe(one, "r/#", qos=1, retainHandling=1)
    one.expect_nothing_before("bell")
    subscribe(one, "r/+", qos=1, retainHandling=1)
    one.expect("r/a", "anew", retain=True)
    one.unsubscribe("r/+")
    subscribe(one, "r/+", qos=1, retainHandling=2)
    one.expect_nothing_before("bell")
    subscribe(one, "r/+", qos=1, retainHandling=0)
    one.expect("r/a", "anew", retain=True)
    other.publish("r/a", "", 1, retain=True)
    one.disconnect()
    other.disconnect()


def overlapping_subscriptions_bring_one_copy_with_all_identifiers():
    ear = client("ear").connect()
    subscribe(ear, "o/+", identifier=7, qos=0)
    subscribe(ear, "o/#", identifier=200_000, qos=2)
    subscribe(ear, "o/a", qos=1)
    ear.publish("o/a", "x", 2)
    found = ear.expect("o/a", "x", qos=2).properties
    identifiers = found.SubscriptionIdentifier
    assert sorted(identifiers if isinstance(identifiers, list) else [identifiers]) == [7, 200_000], found
    ear.expect_nothing_before("bell")
    ear.disconnect()


def topic_aliases_work_both_ways():
    ear, mouth = client("ear").connect(TopicAliasMaximum=2), client("mouth").connect()
    assert mouth.connack.TopicAliasMaximum > 0, mouth.connack
    subscribe(ear, "long/#", qos=1)
    mouth.publish("long/topic/a", "first", 1, TopicAlias=1)
    mouth.publish("", "second", 1, TopicAlias=1)
    mouth.publish("long/topic/b", "other", 1, TopicAlias=1)
    mouth.publish("", "last", 0, TopicAlias=1)
    known, found = {}, []
    for _ in range(4):
        message = ear.message()
        alias = getattr(message.properties, "TopicAlias", None)
        assert alias is None or 1 <= alias <= 2, alias
        if message.topic and alias:
            known[alias] = message.topic
        found.append((message.topic or known[alias], message.payload.decode()))
    assert found == [
        ("long/topic/a", "first"), ("long/topic/a", "second"), ("long/topic/b", "other"), ("long/topic/b", "last"),
    ], found
    mouth.publish("x", "unknown", 0, TopicAlias=mouth.connack.TopicAliasMaximum + 1)
    assert mouth.disconnected()[0].value == 0x94
    ear.disconnect()


def a_message_expires_while_its_session_is_away():
    ear = client("away", clean=True).connect(SessionExpiryInterval=300)
    subscribe(ear, "e", qos=1)
    ear.disconnect()
    mouth = client("mouth").connect()
    mouth.publish("e", "short", 1, MessageExpiryInterval=1)
    mouth.publish("e", "long", 1, MessageExpiryInterval=100)
    mouth.publish("e", "kept", 1)
    time.sleep(2.1)
    ear = client("away", clean=False).connect(SessionExpiryInterval=300)
    assert ear.session_present
    left = ear.expect("e", "long").properties.MessageExpiryInterval
    assert 90 <= left <= 98, left
    assert not hasattr(ear.expect("e", "kept").properties, "MessageExpiryInterval")
    ear.disconnect()
    client("away").connect().disconnect()
    mouth.disconnect()


def a_session_ends_when_its_time_is_over():
    first = client("short", clean=True).connect(SessionExpiryInterval=1)
    subscribe(first, "s", qos=1)
    first.disconnect()
    time.sleep(2.2)
    # paho closes without waiting for the broker: the will says when DISCONNECT has been read.
    ear = client("ear").connect()
    subscribe(ear, "over", qos=1)
    again = client("short", clean=False, will={"topic": "over", "payload": "now", "qos": 1})
    again.connect(SessionExpiryInterval=100)
    assert not again.session_present
    with_will = ReasonCodes(PacketTypes.DISCONNECT, "Disconnect with will message")
    again.disconnect(with_will, SessionExpiryInterval=0)
    ear.expect("over", "now")
    last = client("short", clean=False).connect()
    assert not last.session_present, "DISCONNECT has ended it"
    last.disconnect()
    ear.disconnect()


def a_will_comes_with_its_properties_and_its_delay():
    ear = client("ear").connect()
    subscribe(ear, "wills/#", qos=2)
    found = properties("WILLMESSAGE", WillDelayInterval=1, ContentType="text/plain", UserProperty=[("why", "lost")])
    will = {"topic": "wills/late", "payload": "dead", "qos": 1, "properties": found}
    lost = client("lost", will=will).connect(SessionExpiryInterval=60)
    begun = time.monotonic()
    lost.vanish()
    message = ear.expect("wills/late", "dead", qos=1)
    assert time.monotonic() - begun >= 0.9, "never early"
    assert message.properties.ContentType == "text/plain" and message.properties.UserProperty == [("why", "lost")]
    # Who is back in time has no will published.
    found = properties("WILLMESSAGE", WillDelayInterval=60)
    will = {"topic": "wills/back", "payload": "dead", "qos": 1, "properties": found}
    client("back", will=will).connect(SessionExpiryInterval=60).vanish()
    back = client("back", clean=False).connect()
    assert back.session_present
    ear.expect_nothing_before("bell")
    back.disconnect()
    # The end of the session ends the delay.
    client("ended", will={**will, "topic": "wills/ended"}).connect(SessionExpiryInterval=60).vanish()
    client("ended", clean=True).connect().disconnect()
    ear.expect("wills/ended", "dead")
    # Goodbye with the will.
    angry = client("angry", will={"topic": "wills/angry", "payload": "dead", "qos": 2}).connect()
    angry.disconnect(ReasonCodes(PacketTypes.DISCONNECT, "Disconnect with will message"))
    ear.expect("wills/angry", "dead", qos=2)
    polite = client("polite", will={"topic": "wills/polite", "payload": "dead", "qos": 2}).connect()
    polite.disconnect()
    ear.expect_nothing_before("bell")
    ear.disconnect()
    lost = client("lost").connect()
    lost.disconnect()


def the_broker_names_a_client_that_has_no_name_and_says_what_it_takes():
    nameless = client("").connect()
    found = nameless.connack
    assert found.AssignedClientIdentifier, found
    assert 0 < found.ReceiveMaximum <= 65_535, found
    assert not hasattr(found, "MaximumQoS") and getattr(found, "RetainAvailable", 1) == 1, found
    assert getattr(found, "SharedSubscriptionAvailable", 1) == 1, found
    nameless.disconnect()


def refusals_say_why():
    try:
        client("stranger", token="no token").connect()
    except Refused as refused:
        assert refused.code in (0x86, NOT_AUTHORIZED), refused
    else:
        raise AssertionError("it was accepted")
    narrow = client("narrow", token=NARROW_TOKEN).connect()
    assert subscribe(narrow, "closed/#", qos=1) == [NOT_AUTHORIZED]
    assert narrow.subscribe([("open/#", SubscribeOptions(1)), ("closed", SubscribeOptions(2))]) == [1, NOT_AUTHORIZED]
    # The connection goes on; nobody gets it.
    narrow.publish("closed/a", "x", 1)
    narrow.publish("open/a", "x", 1)
    narrow.expect("open/a", "x")
    narrow.disconnect()


def who_is_taken_over_is_told():
    first, second = client("twin").connect(), client("twin").connect()
    assert first.disconnected()[0].value == 0x8E
    second.disconnect()


def a_packet_larger_than_the_client_takes_is_not_sent():
    ear, mouth = client("ear").connect(MaximumPacketSize=200), client("mouth").connect()
    subscribe(ear, "size", qos=1)
    mouth.publish("size", "x" * 500, 1)
    mouth.publish("size", "small", 1)
    ear.expect("size", "small")
    ear.disconnect()
    mouth.disconnect()


def no_more_is_under_way_than_the_client_takes():
    ear = client("window")
    ear.paho.max_inflight_messages_set(100)
    ear.connect(ReceiveMaximum=2)
    mouth = client("mouth").connect()
    subscribe(ear, "many/#", qos=2)
    sent = [(f"many/{1 + number % 2}", str(number)) for number in range(50)]
    for number, (topic, payload) in enumerate(sent):
        mouth.publish(topic, payload, qos=1 + number % 2)
    ear.expect_in_order(sent)
    ear.disconnect()
    mouth.disconnect()


def a_request_gets_its_answer():
    asking, answering = client("asking").connect(RequestResponseInformation=1), client("answering").connect()
    subscribe(answering, "questions/#", qos=1)
    subscribe(asking, "answers/asking", qos=1)
    asking.publish("questions/time", "?", 1, ResponseTopic="answers/asking", CorrelationData=b"42")
    found = answering.expect("questions/time", "?").properties
    answering.publish(found.ResponseTopic, "noon", 1, CorrelationData=found.CorrelationData)
    assert asking.expect("answers/asking", "noon").properties.CorrelationData == b"42"
    asking.disconnect()
    answering.disconnect()


def members_of_a_group_share():
    members = [client(f"member-{number}").connect() for number in range(3)]
    for member in members:
        assert subscribe(member, "$share/g/work/#", qos=1) == [1]
    mouth = client("mouth").connect()
    for number in range(30):
        mouth.publish("work/x", str(number), qos=1, UserProperty=[("number", str(number))])
    total = set()
    while len(total) < 30:
        for member in members:
            while not member.messages.empty():
                message = member.message()
                assert message.properties.UserProperty == [("number", message.payload.decode())]
                total.add(message.payload)
    for member in members:
        member.disconnect()
    mouth.disconnect()


run([
    messages_of_every_qos_arrive_once_and_in_order,
    properties_of_a_message_arrive_unaltered,
    both_versions_hear_each_other,
    no_local_and_retain_as_published_and_retain_handling,
    overlapping_subscriptions_bring_one_copy_with_all_identifiers,
    topic_aliases_work_both_ways,
    a_message_expires_while_its_session_is_away,
    a_session_ends_when_its_time_is_over,
    a_will_comes_with_its_properties_and_its_delay,
    the_broker_names_a_client_that_has_no_name_and_says_what_it_takes,
    refusals_say_why,
    who_is_taken_over_is_told,
    a_packet_larger_than_the_client_takes_is_not_sent,
    no_more_is_under_way_than_the_client_takes,
    a_request_gets_its_answer,
    members_of_a_group_share,
])
