//! Real clients: programs and libraries that know nothing of us, in both versions of MQTT, each feature that they can use.

mod javascript;
mod mosquitto;
mod paho;
mod rumqttc;
