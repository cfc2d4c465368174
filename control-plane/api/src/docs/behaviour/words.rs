//! The words of the page of limits.

use contract::behaviour::{Moment, Wire};
use contract::limits::Limit;

/// The words of one language.
pub(super) struct Words {
    pub(super) beginning: &'static str,
    pub(super) head: &'static str,
    pub(super) end: &'static str,
    pub(super) semicolon: &'static str,
    pub(super) moment: fn(Moment) -> &'static str,
    pub(super) plain: fn(Wire) -> &'static str,
    pub(super) announced: fn(&str) -> String,
    pub(super) default: fn(&str) -> String,
    pub(super) event: fn(&str) -> String,
    pub(super) puback: fn(&str) -> String,
    pub(super) unit: fn(&'static str) -> &'static str,
    pub(super) limit: fn(&Limit) -> Option<&'static str>,
    pub(super) of_topic: fn(&str) -> &'static str,
    pub(super) of_node: fn(&str) -> &'static str,
    pub(super) of_client: fn(&str) -> &'static str,
}

pub(super) const ENGLISH: Words = Words {
    beginning: "# Limits\n\n\
        Everything that a client may use is bounded. This is what MQTT leaves open: each bound, and what a client sees when it meets it. \
        Bounds in code letters are limits of the instance's plan; the values in italics are those of a plan that says nothing. \
        `GET /v1/instances/{instance_id}/limits` shows an instance's own.\n\n\
        - With MQTT 5.0 every refusal has a reason code, and beside it, unless the client asks for none, a reason string: the name under which it is counted.\n\
        - MQTT 3.1.1 cannot refuse one message: what is of QoS 1 or 2 closes the connection, what is of QoS 0 is dropped. The reason is counted all the same. MQTT 3.1 is as 3.1.1.\n\
        - What is counted is shown under *Overview* and with the metrics `refused` and `dropped`, told apart by reason, and alarm rules can watch it. Where the table names no reason, it is the bound's own name. \
        *Event* is the kind of event that it is; so far events are counted, not kept one by one.\n\
        - Who publishes too fast is not refused: nothing is read from its connection until it may go on.\n",
    head: "| bound | what it bounds, and its default | MQTT 3.1.1 | MQTT 5.0 | counted as |\n|---|---|---|---|---|\n",
    end: "\n## Of the API alone\n\nClients do not meet these; the REST API answers `limit_reached` or says which member is too much.\n\n\
        | limit | what it bounds, and its default |\n|---|---|\n",
    semicolon: "; ",
    moment: |moment| match moment {
        Moment::Connect => "When it connects",
        Moment::Speak => "While it is connected",
        Moment::Publish => "When it publishes",
        Moment::Subscribe => "When it subscribes",
        Moment::Receive => "When it is to get messages",
        Moment::Away => "While it is away",
    },
    plain: |wire| match wire {
        Wire::Absent => "there is none",
        Wire::Unseen => "it is held to the bound and not told",
        Wire::Closed => "the connection is closed",
        Wire::ClosedUnlessQos0 => "QoS 1, 2: the connection is closed; QoS 0: dropped",
        Wire::NotRead => "nothing is read for a moment",
        Wire::Waits => "messages wait",
        Wire::Dropped => "messages are dropped",
        Wire::DroppedIfQos0 => "QoS 0: dropped; QoS 1, 2 wait",
        Wire::Fewer => "the first come, by topic name",
        Wire::SessionEnds => "or, as the instance is set, the session ends",
        Wire::Announced(_) | Wire::ConnAck(_) | Wire::PubAck(_) | Wire::SubAck(_) | Wire::Disconnect(_) => "",
    },
    default: |value| format!("*{value}*"),
    event: |event| format!("event `{event}`"),
    announced: |property| format!("CONNACK tells it ({property})"),
    puback: |code| format!("QoS 1, 2: PUBACK, PUBREC {code}; QoS 0: dropped"),
    unit: |unit| unit,
    limit: |limit| Some(limit.doc),
    of_topic: |_| "The largest payload of a topic, where its own rule says so.",
    of_node: |_| "How long a connection may take until its CONNECT is whole; a setting of the node.",
    of_client: |name| match name {
        "Keep Alive" => "The client's own: nothing was heard for one and a half times as long.",
        "Receive Maximum" => "The client's own: messages of QoS 1 and 2 that it will have unacknowledged.",
        "Maximum Packet Size" => "The client's own: the largest packet that it takes.",
        "Message Expiry Interval" => "The publisher's own: how long its message is good for.",
        other => panic!("`{other}` has no words"),
    },
};

pub(super) const CHINESE: Words = Words {
    beginning: "# 配额\n\n\
        客户端可用的一切都有上限。MQTT 没有规定超出之后怎么办，本页逐一说明：每项上限，以及客户端遇到它时会看到什么。\
        代码体的名称是实例规格中的配额，斜体为规格未指定时的默认值；`GET /v1/instances/{instance_id}/limits` 给出某个实例的实际值。\n\n\
        - MQTT 5.0：每次拒绝都带有原因码；除非客户端声明不需要，还带有原因字符串，即计数时所用的名称。\n\
        - MQTT 3.1.1 无法拒绝单条消息：QoS 1、2 的消息会导致连接关闭，QoS 0 的消息被丢弃，原因同样计数。MQTT 3.1 与 3.1.1 相同。\n\
        - 计数显示在*概览*中，也就是按原因区分的指标 `refused` 和 `dropped`，可用告警规则监视；表中未写出原因时，原因就是上限的名称。*事件*是其所属的事件类型；目前事件只计数，不逐条保存。\n\
        - 发布过快不会被拒绝：在恢复之前，服务端暂停读取该连接。\n",
    head: "| 上限 | 限制什么及默认值 | MQTT 3.1.1 | MQTT 5.0 | 计数名称 |\n|---|---|---|---|---|\n",
    end: "\n## 仅限 API\n\n客户端不会遇到以下配额；REST API 会返回 `limit_reached`，或指出是哪个字段超出。\n\n\
        | 配额 | 限制什么及默认值 |\n|---|---|\n",
    semicolon: "；",
    moment: |moment| match moment {
        Moment::Connect => "连接时",
        Moment::Speak => "连接期间",
        Moment::Publish => "发布时",
        Moment::Subscribe => "订阅时",
        Moment::Receive => "接收消息时",
        Moment::Away => "离线期间",
    },
    plain: |wire| match wire {
        Wire::Absent => "无此概念",
        Wire::Unseen => "按上限执行，不告知",
        Wire::Closed => "连接关闭",
        Wire::ClosedUnlessQos0 => "QoS 1、2：连接关闭；QoS 0：丢弃",
        Wire::NotRead => "暂停读取片刻",
        Wire::Waits => "消息等待",
        Wire::Dropped => "消息被丢弃",
        Wire::DroppedIfQos0 => "QoS 0：丢弃；QoS 1、2 等待",
        Wire::Fewer => "只收到按主题名排序的前若干条",
        Wire::SessionEnds => "或按实例设置结束会话",
        Wire::Announced(_) | Wire::ConnAck(_) | Wire::PubAck(_) | Wire::SubAck(_) | Wire::Disconnect(_) => "",
    },
    default: |value| format!("*{value}*"),
    event: |event| format!("事件 `{event}`"),
    announced: |property| format!("CONNACK 告知（{property}）"),
    puback: |code| format!("QoS 1、2：PUBACK、PUBREC {code}；QoS 0：丢弃"),
    unit: |unit| match unit {
        "connections" => "个连接",
        "connects/s" => "次/秒",
        "messages/s" => "条/秒",
        "bytes/s" => "字节/秒",
        "bytes" => "字节",
        "levels" => "级",
        "filters" => "个过滤器",
        "subscriptions" => "个订阅",
        "packets/s" => "个报文/秒",
        "messages" => "条",
        "aliases" => "个别名",
        "properties" => "个属性",
        "seconds" => "秒",
        "sessions" => "个会话",
        "replays" => "个回放",
        "topics" => "个主题",
        "credentials" => "个凭证",
        "keys" => "个密钥",
        "grants" => "条授权",
        "revocations" => "条吊销",
        "rules" => "条规则",
        "channels" => "个渠道",
        "deliveries" => "次投递",
        other => panic!("`{other}` has no words"),
    },
    limit: |limit| in_chinese(limit.name),
    of_topic: |_| "该主题规则中规定的最大消息体。",
    of_node: |_| "从建立连接到收到完整 CONNECT 的最长时间，由节点设置。",
    of_client: |name| match name {
        "Keep Alive" => "客户端自己的设置：超过其 1.5 倍时间没有任何报文。",
        "Receive Maximum" => "客户端自己的设置：它允许的未确认 QoS 1、2 消息数。",
        "Maximum Packet Size" => "客户端自己的设置：它接受的最大报文。",
        "Message Expiry Interval" => "发布者自己的设置：消息的有效时长。",
        other => panic!("`{other}` has no words"),
    },
};

fn in_chinese(limit: &str) -> Option<&'static str> {
    Some(match limit {
        "connections_max" => "同时在线的客户端。",
        "connects_per_sec" => "每秒成功应答的 CONNECT。",
        "connections_per_subject_max" => "同一临时 Token 主体同时在线的连接。",
        "messages_in_per_sec" => "实例所有客户端每秒发布的消息。",
        "bytes_in_per_sec" => "每秒从实例所有客户端收到的 PUBLISH 报文字节。",
        "messages_out_per_sec" => "每秒发给实例所有客户端的消息。",
        "bytes_out_per_sec" => "每秒发给实例所有客户端的 PUBLISH 报文字节。",
        "client_messages_in_per_sec" => "单个客户端每秒发布的消息。",
        "client_bytes_in_per_sec" => "每秒从单个客户端收到的 PUBLISH 报文字节。",
        "client_messages_out_per_sec" => "每秒发给单个客户端的消息。",
        "client_bytes_out_per_sec" => "每秒发给单个客户端的 PUBLISH 报文字节。",
        "packet_bytes_max" => "单个报文的大小，含报文头。",
        "topic_levels_max" => "主题名或过滤器的层级数。",
        "topic_bytes_max" => "主题名或过滤器的长度。",
        "client_id_bytes_max" => "客户端 ID 的长度。",
        "filters_per_packet_max" => "一个 SUBSCRIBE 或 UNSUBSCRIBE 报文中的过滤器。",
        "client_subscriptions_max" => "单个客户端的订阅。",
        "subscriptions_max" => "实例所有客户端的订阅。",
        "client_subscribes_per_sec" => "单个客户端每秒的 SUBSCRIBE 和 UNSUBSCRIBE 报文。",
        "in_flight_messages_max" => {
            "以 QoS 1、2 发给单个客户端而尚未确认的消息；对 3.1.1 还包括客户端以 QoS 2 发来而尚未释放的消息。"
        }
        "receive_max" => {
            "MQTT 5.0 客户端可以发出而尚未得到确认的 QoS 1、2 消息，即告知它的 Receive Maximum。"
        }
        "topic_alias_max" => "MQTT 5.0 客户端发布时可以设置的主题别名；0 表示不允许。",
        "properties_bytes_max" => {
            "一条消息中会转给订阅者的 MQTT 5.0 属性的字节数：内容类型、响应主题、关联数据、用户属性。"
        }
        "user_properties_max" => "一条消息的用户属性。",
        "outbox_messages_max" => "等待发给单个客户端的消息。",
        "outbox_bytes_max" => "等待发给单个客户端的字节。",
        "keep_alive_secs_max" => "最长的心跳间隔；客户端要求更长或不要求心跳时，按此执行。",
        "sessions_max" => "持久会话，包括在线的和离线的。",
        "session_expiry_secs_max" => "客户端离线后持久会话的保留时长。",
        "queued_messages_max" => {
            "为一个持久会话或共享订阅等待的消息；超出后舍弃哪些由实例的 `queue_overflow` 决定。"
        }
        "queued_bytes_max" => "为一个持久会话或共享订阅等待的消息的字节。",
        "queued_secs_max" => "一条消息为持久会话或共享订阅等待的时长。",
        "retained_messages_max" => "有保留消息的主题。",
        "retained_bytes_max" => "所有保留消息的字节，含主题名。",
        "retained_per_subscribe_max" => "一个订阅带来的保留消息，按主题名取前若干条。",
        "shared_subscriptions_max" => "共享订阅；组名与过滤器的每种组合算一个。",
        "replays_max" => "单个客户端同时进行的消息回放。",
        "topics_max" => "实例中创建的主题。",
        "credentials_max" => "实例中的凭证。",
        "signing_keys_max" => "实例中尚未吊销的签名密钥。",
        "grants_max" => "一个临时 Token 或凭证的授权。",
        "token_ttl_secs_max" => "临时 Token 的最长有效期。",
        "revocations_max" => "生效中的吊销；超出后最早的会合并为范围更大的吊销。",
        "alarm_rules_max" => "实例中的告警规则。",
        "channels_max" => "实例中的通知渠道。",
        "deliveries_pending_max" => "尚未送达的通知投递；超出的立即失败。",
        _ => return None,
    })
}
