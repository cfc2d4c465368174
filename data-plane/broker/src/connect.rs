//! CONNECT: from its bytes to a client that its worker may take, or to the answer that refuses it.

use std::cell::Cell;
use std::sync::Arc;

use contract::ids::InstanceId;
use contract::limits::InstanceLimits;
use contract::refusal::Refusal;
use mqtt::{Connect, FirstPacket};
use replica::InstanceRules;
use session::Will;
use uuid::Uuid;

use crate::authenticate::{Claim, Proof};
use crate::clock::unix_now;
use crate::farewell::refused_connack;
use crate::instances::Instance;
use crate::node::Node;
use crate::policy::Verdict;
use crate::turn::refusal_of;

/// A CONNECT that was found good.
pub(crate) struct Welcome {
    pub(crate) client_id: Box<str>,
    pub(crate) clean_session: bool,
    pub(crate) keep_alive_secs: u16,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) proof: Proof,
    pub(crate) instance: Arc<Instance>,
}

/// What refuses a connection: the reason, and the bytes that say so.
pub(crate) struct Rejection {
    pub(crate) refusal: Refusal,
    pub(crate) answer: Vec<u8>,
    /// The instance that the connection has named, if it came so far.
    pub(crate) instance: Option<InstanceId>,
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, answer: refused_connack(refusal), instance: None }
    }
}

/// Decides about the first packet of a connection.
pub(crate) fn decide(
    node: &Node,
    frame: mqtt::Frame<'_>,
    default_instance: Option<&str>,
) -> Result<Welcome, Rejection> {
    match mqtt::decode_first(frame) {
        Ok(FirstPacket::Connect(connect)) => {
            let named = Cell::new(None);
            welcome(node, &connect, default_instance, &named)
                .map_err(|refusal| Rejection { instance: named.get(), ..refusal.into() })
        }
        Ok(FirstPacket::UnsupportedVersion(version)) => {
            let mut answer = Vec::new();
            mqtt::connack_unsupported_version(&mut answer, version);
            Err(Rejection { refusal: Refusal::UnsupportedVersion, answer, instance: None })
        }
        Err(error) => Err(refusal_of(error).into()),
    }
}

/// `named` is told the instance as soon as one is named that exists.
fn welcome(
    node: &Node,
    connect: &Connect<'_>,
    default_instance: Option<&str>,
    named: &Cell<Option<InstanceId>>,
) -> Result<Welcome, Refusal> {
    if connect.client_id.is_empty() && !connect.clean_session {
        return Err(Refusal::ClientIdInvalid); // [MQTT-3.1.3-8]
    }
    let now = node.clock.micros();
    let claim =
        Claim { client_id: connect.client_id, username: connect.username, password: connect.password };
    let may_connect = |rules: &InstanceRules| {
        let limits = &rules.document.limits;
        check_client_id(connect.client_id, limits)?;
        let instance = node.instances.get(rules.document.id, limits, now);
        if instance.has_connects(limits, now) { Ok(()) } else { Err(Refusal::ConnectsPerSec) }
    };
    let (rules, proof) =
        node.authenticator.authenticate(claim, default_instance, unix_now(), named, may_connect)?;
    let will = connect.will.map(|will| accept_will(&rules, &proof, &will)).transpose()?;
    let client_id = match connect.client_id {
        "" => format!("auto-{}", Uuid::now_v7().simple()).into(), // [MQTT-3.1.3-6]
        client_id => client_id.into(),
    };
    let instance = node.instances.get(rules.document.id, &rules.document.limits, now);
    let &Connect { clean_session, keep_alive_secs, .. } = connect;
    Ok(Welcome { client_id, clean_session, keep_alive_secs, will, proof, instance })
}

/// `.` and `..` are names that no path of the API can hold.
fn check_client_id(client_id: &str, limits: &InstanceLimits) -> Result<(), Refusal> {
    let fits = client_id.len() as u64 <= limits.client_id_bytes_max && !matches!(client_id, "." | "..");
    if fits { Ok(()) } else { Err(Refusal::ClientIdInvalid) }
}

fn accept_will(rules: &InstanceRules, proof: &Proof, will: &mqtt::Will<'_>) -> Result<Box<Will>, Refusal> {
    let accepted = Will::accept(will)?;
    let verdict = Verdict::of(rules, proof.grants(), will.topic);
    verdict.check(will.qos, will.retain, will.payload).map_err(|_| Refusal::WillNotAuthorized)?;
    Ok(accepted)
}
