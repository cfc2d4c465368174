//! CONNECT: from its bytes to a client that its worker may take, or to the answer that refuses it. Where the method that
//! it names has several steps, they are taken by the front, which asks here what each of them comes to.

use std::cell::Cell;
use std::sync::Arc;

use contract::ids::InstanceId;
use contract::limits::InstanceLimits;
use contract::refusal::Refusal;
use mqtt::{Connect, Content, FirstPacket, Version};
use replica::InstanceRules;
use session::{ClientSide, Will};
use uuid::Uuid;

use crate::authenticate::{Claim, Proof};
use crate::clock::unix_now;
use crate::enhanced::{Challenge, Method};
use crate::instances::Instance;
use crate::last_words::refused_connack;
use crate::node::Node;
use crate::policy::{Verdict, check_content};
use crate::turn::refusal_of;

/// A CONNECT that was found good.
pub(crate) struct Welcome {
    pub(crate) client_id: Box<str>,
    pub(crate) asked: Box<Asked>,
    pub(crate) will: Option<Box<Will>>,
    pub(crate) proof: Proof,
    pub(crate) instance: Arc<Instance>,
}

/// What a CONNECT asks for, and what answers it beside that.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    /// What there was of the client's session is to go first.
    pub(crate) clean_start: bool,
    /// For so many seconds its session is to be kept without a connection: 0: not at all. Of 3.x all or nothing.
    pub(crate) expiry_secs: u32,
    pub(crate) keep_alive_secs: u16,
    /// What it can take.
    pub(crate) client: ClientSide,
    /// It has given no client identifier, and is told the one that was made up.
    pub(crate) is_id_assigned: bool,
    pub(crate) method: Option<Method>,
    /// The last word of its authentication.
    pub(crate) auth_data: Vec<u8>,
}

/// What refuses a connection: the reason, and the bytes that say so.
pub(crate) struct Rejection {
    pub(crate) refusal: Refusal,
    pub(crate) answer: Vec<u8>,
    /// The instance that the connection has named, if it came so far.
    pub(crate) instance: Option<InstanceId>,
}

impl Rejection {
    /// Without an answer: nobody knows how to put it.
    pub(crate) const fn silent(refusal: Refusal) -> Self {
        Self { refusal, answer: Vec::new(), instance: None }
    }
}

/// A CONNECT that was read, and is not yet decided about.
pub(crate) struct Asking<'a> {
    node: &'a Node,
    connect: Connect<'a>,
    default_instance: Option<&'a str>,
    /// The instance, as soon as one is named that exists.
    named: Cell<Option<InstanceId>>,
    method: Option<Method>,
}

impl<'a> Asking<'a> {
    /// Reads the first packet of a connection.
    pub(crate) fn read(
        node: &'a Node,
        frame: mqtt::Frame<'a>,
        default_instance: Option<&'a str>,
    ) -> Result<Self, Rejection> {
        let connect = match mqtt::decode_first(frame) {
            Ok(FirstPacket::Connect(connect)) => connect,
            Ok(FirstPacket::UnsupportedVersion(version)) => {
                let mut answer = Vec::new();
                mqtt::connack_unsupported_version(&mut answer, version);
                return Err(Rejection { answer, ..Rejection::silent(Refusal::UnsupportedVersion) });
            }
            Err(error) => return Err(reject_bytes(frame.body, refusal_of(error))),
        };
        let asking = Self { node, connect, default_instance, named: Cell::new(None), method: None };
        let method = match asking.connect.properties.auth_method.map(Method::find) {
            Some(None) => return Err(asking.reject(Refusal::AuthenticationMethodInvalid)),
            method => method.flatten(),
        };
        if asking.connect.client_id.is_empty() && !may_be_nameless(&asking.connect) {
            return Err(asking.reject(Refusal::ClientIdInvalid));
        }
        Ok(Self { method, ..asking })
    }

    pub(crate) const fn method(&self) -> Option<Method> {
        self.method
    }

    /// The first data of its authentication.
    pub(crate) const fn auth_data(&self) -> Option<&'a [u8]> {
        self.connect.properties.auth_data
    }

    /// Whether the client takes a packet with so many bytes.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        self.connect.properties.packet_bytes_max.is_none_or(|most| bytes <= most as usize)
    }

    /// Decides about it where all is said that there is to say.
    pub(crate) fn decide(&self) -> Result<Welcome, Rejection> {
        let decide = || {
            let Connect { client_id, username, password, .. } = self.connect;
            let (authenticator, may_connect) =
                (&self.node.authenticator, |rules: &_| self.may_connect(rules));
            let (rules, proof) = match (self.method, self.auth_data()) {
                (Some(Method::Token), Some(token)) => {
                    let claim = Claim { client_id, username, password: Some(token) };
                    authenticator.authenticate_by_token(claim, unix_now(), &self.named, may_connect)?
                }
                (method, _) => {
                    let claim = Claim { client_id, username, password };
                    let named = authenticator.authenticate(
                        claim,
                        self.default_instance,
                        unix_now(),
                        &self.named,
                        may_connect,
                    )?;
                    if method == Some(Method::Token) && !matches!(named.1, Proof::Token(_)) {
                        return Err(Refusal::TokenInvalid);
                    }
                    named
                }
            };
            self.accept(&rules, proof, Vec::new())
        };
        decide().map_err(|refusal| self.reject(refusal))
    }

    /// Answers the first message of SCRAM.
    pub(crate) fn challenge(&self, message: &[u8]) -> Result<(Arc<InstanceRules>, Challenge), Rejection> {
        let may_connect = |rules: &_| self.may_connect(rules);
        let username = self.connect.username;
        let challenged = self.node.authenticator.challenge(
            message,
            username,
            self.default_instance,
            &self.named,
            may_connect,
        );
        challenged.map_err(|refusal| self.reject(refusal))
    }

    /// Decides about it when the last message of SCRAM is there.
    pub(crate) fn finish(
        &self,
        (rules, challenge): (Arc<InstanceRules>, Challenge),
        message: &[u8],
    ) -> Result<Welcome, Rejection> {
        let proved = challenge.finish(message, self.connect.client_id);
        proved
            .and_then(|(proof, data)| self.accept(&rules, proof, data))
            .map_err(|refusal| self.reject(refusal))
    }

    /// Refuses it, in the words of its version.
    pub(crate) fn reject(&self, refusal: Refusal) -> Rejection {
        let answer = refused_connack(self.connect.version, refusal, &self.client_side());
        Rejection { refusal, answer, instance: self.named.get() }
    }

    /// What is asked before anything costly is done.
    fn may_connect(&self, rules: &InstanceRules) -> Result<(), Refusal> {
        let (limits, now) = (&rules.document.limits, self.node.clock.micros());
        check_client_id(self.connect.client_id, limits)?;
        let instance = self.node.instances.get(rules.document.id, limits, now);
        if instance.has_connects(limits, now) { Ok(()) } else { Err(Refusal::ConnectsPerSec) }
    }

    fn accept(
        &self,
        rules: &Arc<InstanceRules>,
        proof: Proof,
        auth_data: Vec<u8>,
    ) -> Result<Welcome, Refusal> {
        let connect = &self.connect;
        let is_id_assigned = connect.client_id.is_empty();
        let will = connect.will.as_ref().map(|will| accept_will(rules, &proof, will)).transpose()?;
        let client_id = if is_id_assigned {
            format!("auto-{}", Uuid::now_v7().simple()).into() // [MQTT-3.1.3-6]
        } else {
            connect.client_id.into()
        };
        let now = self.node.clock.micros();
        let instance = self.node.instances.get(rules.document.id, &rules.document.limits, now);
        let expiry_secs = match (connect.version, connect.clean_start) {
            (Version::V5, _) => connect.properties.session_expiry_secs,
            (Version::V31 | Version::V311, true) => 0,
            (Version::V31 | Version::V311, false) => u32::MAX,
        };
        let asked = Box::new(Asked {
            version: connect.version,
            clean_start: connect.clean_start,
            expiry_secs,
            keep_alive_secs: connect.keep_alive_secs,
            client: self.client_side(),
            is_id_assigned,
            method: self.method,
            auth_data,
        });
        Ok(Welcome { client_id, asked, will, proof, instance })
    }

    fn client_side(&self) -> ClientSide {
        ClientSide::from(&self.connect.properties)
    }
}

/// Refuses a first packet that cannot be read, in the words of 5.0 if it says that it is of 5.0; those of 3.x are not
/// answered [MQTT-3.1.4-1].
pub(crate) fn reject_bytes(body: &[u8], refusal: Refusal) -> Rejection {
    if !body.starts_with(b"\x00\x04MQTT\x05") {
        return Rejection::silent(refusal);
    }
    let answer = refused_connack(Version::V5, refusal, &ClientSide::default());
    Rejection { answer, ..Rejection::silent(refusal) }
}

/// Whether a client may leave it to the server to name it: in 3.1 never, in 3.1.1 with a clean session [MQTT-3.1.3-8],
/// in 5.0 always.
const fn may_be_nameless(connect: &Connect<'_>) -> bool {
    match connect.version {
        Version::V31 => false,
        Version::V311 => connect.clean_start,
        Version::V5 => true,
    }
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
    if !accepted.content.is_empty() {
        check_content(&rules.document.limits, Content::from_stored(&accepted.content), will.payload)?;
    }
    Ok(accepted)
}
