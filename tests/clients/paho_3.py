"""paho-mqtt speaking MQTT 3.1 and 3.1.1."""

import os

import paho.mqtt.client as mqtt
from paho_client import Client, Refused, run

PROTOCOL = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311}[os.environ["IOTMQ_TEST_VERSION"]]
WEBSOCKET = os.environ["IOTMQ_TEST_WAY"] == "websocket"


def client(client_id, **more):
    return Client(client_id, PROTOCOL, websocket=WEBSOCKET, **more)


def messages_of_every_qos_arrive_once_and_in_order():
    ear = client("ear").connect()
    assert ear.subscribe([("a/+", 2)]) == [2]
    mouth = client("mouth").connect()
    for number in range(60):
        mouth.publish(f"a/{number % 3}", f"message {number}", qos=number % 3)
        ear.expect(f"a/{number % 3}", f"message {number}", qos=number % 3, retain=False, dup=False)
    large = "x" * 300_000
    mouth.publish("a/large", large, qos=2)
    ear.expect("a/large", large, qos=2)
    assert ear.unsubscribe("a/+") == []
    mouth.publish("a/late", "late", qos=1)
    ear.expect_nothing_before("bell")
    ear.disconnect()
    mouth.disconnect()


def the_lower_qos_decides():
    ear = client("ear").connect()
    for granted in range(3):
        assert ear.subscribe("q", granted) == [granted]
        for published in range(3):
            ear.publish("q", "x", qos=published)
            ear.expect("q", "x", qos=min(granted, published))
    ear.disconnect()


def what_is_retained_comes_to_who_subscribes_later():
    mouth = client("mouth").connect()
    mouth.publish("kept/a", "first", qos=1, retain=True)
    mouth.publish("kept/a", "second", qos=2, retain=True)
    mouth.publish("kept/b", "gone", qos=0, retain=True)
    mouth.publish("kept/b", "", qos=1, retain=True)
    ear = client("ear").connect()
    ear.subscribe("kept/#", 1)
    ear.expect("kept/a", "second", retain=True, qos=1)
    mouth.publish("kept/a", "third", qos=1, retain=True)
    ear.expect("kept/a", "third", retain=False)
    ear.expect_nothing_before("bell")
    mouth.publish("kept/a", "", qos=1, retain=True)
    ear.expect("kept/a", "", retain=False)
    mouth.disconnect()
    ear.disconnect()


def a_will_is_told_of_who_vanishes_and_not_of_who_says_goodbye():
    ear = client("ear").connect()
    ear.subscribe("wills/#", 2)
    polite = client("polite", will={"topic": "wills/polite", "payload": "dead", "qos": 1}).connect()
    polite.disconnect()
    lost = client("lost", will={"topic": "wills/lost", "payload": "dead", "qos": 2, "retain": True}).connect()
    lost.vanish()
    ear.expect("wills/lost", "dead", qos=2, retain=False)
    late = client("late").connect()
    late.subscribe("wills/lost", 0)
    late.expect("wills/lost", "dead", retain=True)
    late.publish("wills/lost", "", qos=1, retain=True)
    late.disconnect()
    ear.disconnect()


def a_session_waits_for_its_client():
    first = client("away", clean=False).connect()
    assert not first.session_present
    first.subscribe([("w/1", 1), ("w/2", 2)])
    first.disconnect()
    mouth = client("mouth").connect()
    sent = [(f"w/{1 + number % 2}", str(number)) for number in range(20)]
    for number, (topic, payload) in enumerate(sent):
        mouth.publish(topic, payload, qos=1 + number % 2)
    again = client("away", clean=False).connect()
    # MQTT 3.1 has no such flag.
    assert again.session_present or PROTOCOL == mqtt.MQTTv31
    again.expect_in_order(sent)
    again.disconnect()
    clean = client("away").connect()
    assert not clean.session_present
    mouth.publish("w/1", "for nobody", qos=1)
    clean.expect_nothing_before("bell")
    clean.disconnect()
    mouth.disconnect()


def members_of_a_group_share():
    members = [client(f"member-{number}").connect() for number in range(3)]
    for member in members:
        assert member.subscribe("$share/g/work/#", 1) == [1]
    mouth = client("mouth").connect()
    for number in range(30):
        mouth.publish("work/x", str(number), qos=1)
    total = set()
    while len(total) < 30:
        for member in members:
            while not member.messages.empty():
                total.add(member.message().payload)
    for member in members:
        member.disconnect()
    mouth.disconnect()


def a_wrong_token_is_refused():
    try:
        client("stranger", token="no token").connect()
    except Refused as refused:
        assert refused.code in (4, 5), refused
    else:
        raise AssertionError("it was accepted")


def who_comes_under_the_same_name_takes_over():
    first = client("twin").connect()
    second = client("twin").connect()
    first.disconnected()
    second.expect_nothing_before("bell")
    second.disconnect()


run([
    messages_of_every_qos_arrive_once_and_in_order,
    the_lower_qos_decides,
    what_is_retained_comes_to_who_subscribes_later,
    a_will_is_told_of_who_vanishes_and_not_of_who_says_goodbye,
    a_session_waits_for_its_client,
    members_of_a_group_share,
    a_wrong_token_is_refused,
    who_comes_under_the_same_name_takes_over,
])
