//! A client that proves itself anew while it is connected (section 4.12.1 of 5.0): the proof by which it is held is then
//! the new one. What is wrong in it sends the client away.

use std::rc::Rc;

use contract::refusal::Refusal;
use mqtt::{Auth, ReasonCode};
use router::ClientKey;
use session::Sink as _;

use crate::authenticate::Proof;
use crate::buckets::Micros;
use crate::client::Client;
use crate::clock::unix_now;
use crate::enhanced::{Challenge, Method};
use crate::policy;
use crate::schedule::{DEADLINE_MILLIS_MAX, Timer};
use crate::worker::Worker;

/// An exchange that waits for the client.
pub(crate) struct Proving {
    challenge: Challenge,
    /// Until when it waits.
    until: Micros,
}

impl Worker {
    /// Takes a step of a client, and writes its answer to `output`.
    pub(crate) fn take_auth(
        &self,
        client: &Rc<Client>,
        auth: &Auth<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        // With the method of CONNECT and no other, and only if that named one [MQTT-4.12.1-1].
        let Some(method) = client.method else { return Err(Refusal::ProtocolError) };
        if auth.method != Some(method.name()) {
            return Err(Refusal::ProtocolError);
        }
        let message = auth.data.unwrap_or_default();
        let answer = match (method, auth.reason) {
            (Method::Token, ReasonCode::Reauthenticate) => {
                let rules = client.instance.rules();
                let authenticator = &self.node.authenticator;
                let before = client.proof.borrow();
                authenticator
                    .renew_token(message, &rules, &client.client_id, &before, unix_now())
                    .map(|proof| Answer::Proved(proof, Vec::new()))
            }
            (Method::Scram, ReasonCode::Reauthenticate) => self.challenge_again(client, message),
            (Method::Scram, ReasonCode::ContinueAuthentication) => {
                let proving = self.proving.borrow_mut().remove(&client.key);
                let proving = proving.ok_or(Refusal::ProtocolError)?;
                self.finish_proving(client, *proving, message)
            }
            _ => return Err(Refusal::ProtocolError),
        };
        // Why is nobody's business: whoever has the connection may not be its client.
        match answer.map_err(|_| Refusal::NotAuthorized)? {
            Answer::Challenged(data) => {
                mqtt::auth(output, ReasonCode::ContinueAuthentication, method.name(), Some(&data));
            }
            Answer::Proved(proof, data) => {
                self.adopt_proof(client, proof);
                let data = Some(&*data).filter(|data| !data.is_empty());
                mqtt::auth(output, ReasonCode::Success, method.name(), data);
            }
        }
        Ok(())
    }

    fn challenge_again(&self, client: &Client, message: &[u8]) -> Result<Answer, Refusal> {
        let (rules, before) = (client.instance.rules(), client.proof.borrow());
        let challenge = self.node.authenticator.challenge_again(message, &rules, &before)?;
        let data = challenge.data().to_vec();
        let time_max =
            u64::try_from(self.node.config.front.connect_time_max().as_micros()).unwrap_or(u64::MAX);
        let until = self.now().saturating_add(time_max);
        self.proving.borrow_mut().insert(client.key, Box::new(Proving { challenge, until }));
        Ok(Answer::Challenged(data))
    }

    fn finish_proving(&self, client: &Client, proving: Proving, message: &[u8]) -> Result<Answer, Refusal> {
        let Proving { challenge, until } = proving;
        if self.now() > until {
            return Err(Refusal::NotAuthorized);
        }
        let (mut proof, data) = challenge.finish(message, &client.client_id)?;
        let before = client.proof.borrow();
        // What was proved may have been taken back meanwhile; the proof before has gone with the times.
        if let Proof::Credential { document, .. } = &**before {
            proof.renew(Some(document), &client.client_id)?;
        }
        Ok(Answer::Proved(proof, data))
    }

    /// Holds a client by another proof from now on.
    fn adopt_proof(&self, client: &Client, proof: Proof) {
        let expires_at_millis = proof.expires_at().map_or(u64::MAX, |at| at.0);
        **client.proof.borrow_mut() = proof;
        client.topics.borrow_mut().clear();
        let before = client.expires_at_millis.replace(expires_at_millis);
        let in_millis = expires_at_millis.saturating_sub(unix_now().0);
        // The timer that is set may be later, but by no more than this.
        if expires_at_millis < before && in_millis < DEADLINE_MILLIS_MAX {
            self.schedule(self.millis().0.saturating_add(in_millis), Timer::Expiry(client.key));
        }
    }

    /// Ends what a client is subscribed to and may no longer have by its new proof.
    pub(crate) fn withdraw_ungranted(&self, client: &Rc<Client>) {
        let ungranted: Vec<_> = {
            let (session, proof) = (client.session.borrow(), client.proof.borrow());
            let held = session.iter().flat_map(session::Session::subscriptions);
            let ungranted =
                held.filter(|(filter, granted)| !policy::still_grants(proof.grants(), filter, granted.qos()));
            ungranted.map(|(filter, _)| filter.clone()).collect()
        };
        if ungranted.is_empty() {
            return;
        }
        self.with_session(client, |session, sink| {
            for filter in &ungranted {
                if session.withdraw(filter) {
                    sink.unsubscribe(filter);
                }
            }
        });
    }

    /// The time of a proof may be over.
    pub(crate) fn check_expiry(&self, key: ClientKey) {
        if let Some(client) = self.client(key)
            && unix_now().0 >= client.expires_at_millis.get()
        {
            self.close(&client, crate::client::Ending::Refused(Refusal::TokenExpired));
        }
    }
}

/// What a step comes to.
enum Answer {
    Challenged(Vec<u8>),
    Proved(Proof, Vec<u8>),
}
