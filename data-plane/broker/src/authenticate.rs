//! Who a client is, and of which instance. Nothing is asked of anybody outside the node.
//!
//! A name binds: the label behind the last `@` of the user name says which instance is meant, and a token of another
//! one is refused there. Where nothing is named, a token proves its own instance, and a password is one of the
//! listener's default instance.

use std::cell::Cell;
use std::sync::Arc;

use aws_lc_rs::hmac;
use contract::claims::ClaimsError;
use contract::feed::{Authentication, CredentialDocument, CredentialSecret, InstanceState};
use contract::grant::Grants;
use contract::ids::{CredentialId, InstanceId};
use contract::refusal::Refusal;
use contract::time::UnixMillis;
use replica::{InstanceRules, Replica};

use crate::decoy::Decoy;
use crate::enhanced::Challenge;
use crate::scram::ClientFirst;
use crate::tokens::{Tokens, VerifiedToken, is_token};

/// What a client says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
}

/// What a client has proved itself with; it is looked at again whenever the configuration changes.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// A temporary token.
    Token(Arc<VerifiedToken>),
    /// A credential and the one of its secrets that was right.
    Credential { document: Arc<CredentialDocument>, secret: Box<CredentialSecret> },
}

/// Whom a client is held to be: what decides whether a second connection of one client identifier is the same device.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Principal<'a> {
    /// Whoever may use this client identifier.
    ClientId(&'a str),
    /// The subject of a token that any client identifier may use.
    Subject(&'a str),
    /// A credential that any client identifier may use.
    Credential(CredentialId),
}

impl Proof {
    pub(crate) fn principal(&self) -> Principal<'_> {
        match self {
            Self::Token(token) => match (&token.claims.client_id, &token.claims.subject) {
                (Some(client_id), _) => Principal::ClientId(client_id),
                (None, Some(subject)) => Principal::Subject(subject),
                (None, None) => Principal::Subject(""),
            },
            Self::Credential { document, .. } => match &document.client_id {
                Some(client_id) => Principal::ClientId(client_id),
                None => Principal::Credential(document.id),
            },
        }
    }

    pub(crate) fn grants(&self) -> &Grants {
        match self {
            Self::Token(token) => &token.claims.grants,
            Self::Credential { document, .. } => &document.grants,
        }
    }

    /// The subject whose connections are counted together.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::Token(token) => token.claims.subject.as_deref(),
            Self::Credential { .. } => None,
        }
    }

    /// When it ends by itself.
    pub(crate) fn expires_at(&self) -> Option<UnixMillis> {
        match self {
            Self::Token(token) => Some(UnixMillis::from_secs(token.claims.exp)),
            Self::Credential { .. } => None,
        }
    }

    /// Whether it is still good under the instance's rules as they are now, as far as they decide. A credential's own
    /// document is the caller's to look at: it is not among the rules.
    pub(crate) fn check(&self, rules: &InstanceRules) -> Result<(), Refusal> {
        check_state(rules)?;
        match self {
            Self::Token(token) => {
                accepts(rules, Authentication::Token)?;
                if !token.is_signed_by(rules) {
                    return Err(Refusal::TokenInvalid);
                }
                match rules.revocations.find(&token.claims, &token.kid) {
                    Some(_) => Err(Refusal::TokenRevoked),
                    None => Ok(()),
                }
            }
            Self::Credential { .. } => accepts(rules, Authentication::Password),
        }
    }

    /// Takes the credential's document as it is now; an error when it is no longer a proof.
    ///
    /// A document that is still this secret's is taken even where it lets the client be no longer: what the client
    /// leaves behind, its will, is held to the grants as they are now.
    pub(crate) fn renew(
        &mut self,
        now: Option<&Arc<CredentialDocument>>,
        client_id: &str,
    ) -> Result<(), Refusal> {
        let Self::Credential { document, secret } = self else { return Ok(()) };
        let now = now.filter(|now| now.id == document.id).ok_or(Refusal::CredentialsWrong)?;
        if !now.secrets.contains(secret) {
            return Err(Refusal::CredentialsWrong);
        }
        *document = Arc::clone(now);
        check_credential(now, client_id)
    }
}

/// The one who knows how clients prove themselves.
pub(crate) struct Authenticator {
    replica: Arc<Replica>,
    tokens: Tokens,
    /// Checked where there is no secret to check, so that an unknown user takes as long as a wrong password.
    nobody: hmac::Key,
    decoy: Decoy,
}

impl Authenticator {
    pub(crate) fn new(replica: Arc<Replica>, tokens_remembered_max: usize, decoy: Decoy) -> Self {
        let nobody = hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]);
        Self { replica, tokens: Tokens::new(tokens_remembered_max), nobody, decoy }
    }

    /// The instance's rules and what the client is held by, or why it is not let in. `may_connect` is asked as soon as
    /// the instance is known and before anything costly is done. `named` is told which instance the client has named,
    /// truly or not.
    pub(crate) fn authenticate(
        &self,
        claim: Claim<'_>,
        default_instance: Option<&str>,
        now: UnixMillis,
        named: &Cell<Option<InstanceId>>,
        may_connect: impl Fn(&InstanceRules) -> Result<(), Refusal>,
    ) -> Result<(Arc<InstanceRules>, Proof), Refusal> {
        let by_label = |label: &str| -> Result<Arc<InstanceRules>, Refusal> {
            let rules = self.by_label(label)?;
            named.set(Some(rules.document.id));
            Ok(rules)
        };
        let (proof_bytes, username) = match (claim.password, claim.username) {
            (Some(password), username) => (password, username),
            (None, Some(username)) if is_token(username.as_bytes()) => (username.as_bytes(), None),
            (None, _) => return Err(Refusal::CredentialsWrong),
        };
        let (user, label) = split_label(username.unwrap_or_default());
        if is_token(proof_bytes) {
            let instance = label.map(by_label).transpose()?;
            let may_connect = |rules: &InstanceRules| {
                named.set(Some(rules.document.id));
                check_state(rules)?;
                accepts(rules, Authentication::Token)?;
                may_connect(rules)
            };
            return self.by_token(proof_bytes, instance, claim.client_id, now, may_connect);
        }
        let rules = by_label(label.or(default_instance).ok_or(Refusal::InstanceUnknown)?)?;
        check_state(&rules)?;
        accepts(&rules, Authentication::Password)?;
        may_connect(&rules)?;
        let proof = self.by_password(&rules, user, proof_bytes, claim.client_id)?;
        Ok((rules, proof))
    }

    /// The same for a client that proves itself by a token alone, which is its authentication data. Its user name may
    /// name the instance.
    pub(crate) fn authenticate_by_token(
        &self,
        claim: Claim<'_>,
        now: UnixMillis,
        named: &Cell<Option<InstanceId>>,
        may_connect: impl Fn(&InstanceRules) -> Result<(), Refusal>,
    ) -> Result<(Arc<InstanceRules>, Proof), Refusal> {
        if !claim.password.is_some_and(is_token) {
            return Err(Refusal::TokenInvalid);
        }
        self.authenticate(claim, None, now, named, may_connect)
    }

    /// Begins SCRAM with the client's first message, in which it says who it is. The instance is named there, or by the
    /// user name beside it.
    pub(crate) fn challenge(
        &self,
        message: &[u8],
        username: Option<&str>,
        default_instance: Option<&str>,
        named: &Cell<Option<InstanceId>>,
        may_connect: impl Fn(&InstanceRules) -> Result<(), Refusal>,
    ) -> Result<(Arc<InstanceRules>, Challenge), Refusal> {
        let mut first = ClientFirst::read(message)?;
        let (user, label) = split_label(&first.username);
        let user = user.to_owned();
        let beside = username.and_then(|username| split_label(username).1);
        let label = label.or(beside).or(default_instance).ok_or(Refusal::InstanceUnknown)?;
        let rules = self.by_label(label)?;
        let instance = rules.document.id;
        named.set(Some(instance));
        check_state(&rules)?;
        accepts(&rules, Authentication::Password)?;
        may_connect(&rules)?;
        let document = self.find_credential(&rules, &user)?;
        first.username = user;
        Ok((rules, Challenge::begin(first, instance, document, &self.decoy)?))
    }

    /// Begins SCRAM once more with a client that has proved this credential before. Somebody else is nobody here.
    pub(crate) fn challenge_again(
        &self,
        message: &[u8],
        rules: &InstanceRules,
        before: &Proof,
    ) -> Result<Challenge, Refusal> {
        let mut first = ClientFirst::read(message)?;
        let (user, label) = split_label(&first.username);
        let is_here = label.is_none_or(|label| label == rules.document.label);
        let document = match before {
            Proof::Credential { document, .. } if is_here && document.username == user => Some(document),
            Proof::Credential { .. } | Proof::Token(_) => None,
        };
        let (document, user) = (document.cloned(), user.to_owned());
        first.username = user;
        Challenge::begin(first, rules.document.id, document, &self.decoy)
    }

    /// A fresh token in the place of the one that a client was let in by: for the same client, in the same instance.
    pub(crate) fn renew_token(
        &self,
        token: &[u8],
        rules: &Arc<InstanceRules>,
        client_id: &str,
        before: &Proof,
        now: UnixMillis,
    ) -> Result<Proof, Refusal> {
        if !is_token(token) {
            return Err(Refusal::TokenInvalid);
        }
        let may_connect = |rules: &InstanceRules| {
            check_state(rules)?;
            accepts(rules, Authentication::Token)
        };
        let (_, proof) = self.by_token(token, Some(Arc::clone(rules)), client_id, now, may_connect)?;
        // The client's seat was taken for its subject, and stays that one's.
        let is_same = proof.principal() == before.principal() && proof.subject() == before.subject();
        if is_same { Ok(proof) } else { Err(Refusal::NotAuthorized) }
    }

    fn by_label(&self, label: &str) -> Result<Arc<InstanceRules>, Refusal> {
        let instance = self.replica.instance_by_label(label).ok_or(Refusal::InstanceUnknown)?;
        self.replica.instance(instance).ok_or(Refusal::InstanceUnknown)
    }

    fn by_token(
        &self,
        token: &[u8],
        named: Option<Arc<InstanceRules>>,
        client_id: &str,
        now: UnixMillis,
        may_connect: impl Fn(&InstanceRules) -> Result<(), Refusal>,
    ) -> Result<(Arc<InstanceRules>, Proof), Refusal> {
        let (token, rules) = self.tokens.verify(token, |claims| {
            let rules = match &named {
                Some(named) if named.document.id == claims.instance => Arc::clone(named),
                Some(_) => return Err(Refusal::TokenInvalid),
                None => self.replica.instance(claims.instance).ok_or(Refusal::InstanceUnknown)?,
            };
            may_connect(&rules)?;
            Ok(rules)
        })?;
        if !token.may_connect_at(&rules, now) {
            return Err(Refusal::TokenInvalid);
        }
        token.claims.check(now).map_err(|error| match error {
            ClaimsError::NotYetValid => Refusal::TokenNotYetValid,
            ClaimsError::Expired => Refusal::TokenExpired,
            ClaimsError::Audience | ClaimsError::Principal | ClaimsError::Id => Refusal::TokenInvalid,
        })?;
        if token.claims.client_id.as_ref().is_some_and(|only| only != client_id) {
            return Err(Refusal::ClientIdNotAllowed);
        }
        let proof = Proof::Token(token);
        proof.check(&rules)?;
        Ok((rules, proof))
    }

    fn find_credential(
        &self,
        rules: &InstanceRules,
        user: &str,
    ) -> Result<Option<Arc<CredentialDocument>>, Refusal> {
        self.replica.credential(rules.document.id, user).map_err(|error| {
            tracing::error!(error = ?error, "a credential cannot be read");
            Refusal::InternalError
        })
    }

    fn by_password(
        &self,
        rules: &InstanceRules,
        user: &str,
        password: &[u8],
        client_id: &str,
    ) -> Result<Proof, Refusal> {
        let Some(document) = self.find_credential(rules, user)? else {
            let _ = hmac::verify(&self.nobody, password, &[0; 32]);
            return Err(Refusal::CredentialsWrong);
        };
        let is_right = |secret: &&CredentialSecret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.verifier.salt.0);
            hmac::verify(&key, password, &secret.verifier.hash.0).is_ok()
        };
        let secret = document.secrets.iter().find(is_right).ok_or(Refusal::CredentialsWrong)?;
        check_credential(&document, client_id)?;
        let secret = Box::new(secret.clone());
        Ok(Proof::Credential { document, secret })
    }
}

/// What is in front of the last `@` of a name, and the label behind it.
fn split_label(name: &str) -> (&str, Option<&str>) {
    name.rsplit_once('@').map_or((name, None), |(user, label)| (user, Some(label)))
}

/// Whether a client that has proved a credential's secret may use it.
pub(crate) fn check_credential(document: &CredentialDocument, client_id: &str) -> Result<(), Refusal> {
    if !document.enabled {
        return Err(Refusal::CredentialDisabled);
    }
    match &document.client_id {
        Some(only) if only != client_id => Err(Refusal::ClientIdNotAllowed),
        Some(_) | None => Ok(()),
    }
}

fn check_state(rules: &InstanceRules) -> Result<(), Refusal> {
    match rules.document.state {
        InstanceState::Running => Ok(()),
        InstanceState::Suspended | InstanceState::Deleting | InstanceState::Unknown => {
            Err(Refusal::InstanceSuspended)
        }
    }
}

fn accepts(rules: &InstanceRules, kind: Authentication) -> Result<(), Refusal> {
    if rules.document.authentication.contains(&kind) {
        Ok(())
    } else {
        Err(Refusal::AuthenticationKindRefused)
    }
}

#[cfg(test)]
mod tests {
    use contract::base64::Base64;
    use contract::feed::{Document, SigningKeyDocument};
    use contract::qos::Qos;
    use mqtt::{Connect, Will};

    use crate::clock::unix_now;
    use crate::testing::{
        ALL, Fixture, Given, KID, PASSWORD, claims, connect, credential, grants, instance_id,
    };

    use super::*;

    #[tokio::test]
    async fn a_key_whose_time_is_over_lets_nobody_in_and_sends_nobody_away() {
        let mut fixture = Fixture::start(1);
        let key = fixture.broker.replica().instance(instance_id(1)).expect("the instance").keys[KID];
        let until = |verifies_until| {
            Document::SigningKey(SigningKeyDocument {
                instance: instance_id(1),
                kid: KID.into(),
                public_key: Base64(key.public_key.to_vec()),
                verifies_until: Some(verifies_until),
            })
        };
        let (remembered, unseen) = (fixture.sign(&claims(1, "car")), fixture.sign(&claims(1, "bus")));
        let mut car = fixture.peer().await;
        car.connect(&connect("car", &remembered)).await;
        assert_eq!(car.next().await, "connack 0");
        fixture.put(until(unix_now())).await;
        assert_eq!(fixture.answer_to(&connect("bus", &unseen)).await, "connack 4");
        assert_eq!(fixture.answer_to(&connect("car", &remembered)).await, "connack 4");
        assert_eq!(fixture.refused(Refusal::TokenInvalid).await, 2);
        assert_eq!(car.ping().await, "pingresp", "who is in may stay");
        fixture.put(until(UnixMillis(unix_now().0 + 3_600_000))).await;
        assert_eq!(fixture.answer_to(&connect("bus", &unseen)).await, "connack 0");
    }

    #[tokio::test]
    async fn the_will_of_a_client_that_may_no_longer_be_is_held_to_the_new_grants() {
        let meter = credential(1, "meter", ALL);
        let mut fixture = Given::workers(1).with(Document::Credential(meter.clone())).start();
        let mut observer = fixture.client(1, "observer").await;
        assert_eq!(observer.subscribe(&[("#", Qos::AtMostOnce)]).await, "0");
        for (grants_now, sees) in [("[]", "pingresp"), (ALL, "publish 0 gone will")] {
            fixture.put(Document::Credential(meter.clone())).await;
            let mut peer = fixture.peer().await;
            let will = Some(Will {
                topic: "gone",
                payload: b"will",
                qos: Qos::AtMostOnce,
                retain: false,
                ..Will::default()
            });
            let password = Some(PASSWORD.as_bytes());
            peer.connect(&Connect { username: Some("meter"), password, will, ..connect("a", "") }).await;
            assert_eq!(peer.next().await, "connack 0");
            let (client_id, grants) = (Some("b".into()), grants(grants_now));
            fixture
                .put(Document::Credential(CredentialDocument { client_id, grants, ..meter.clone() }))
                .await;
            assert_eq!(peer.next().await, "closed");
            observer.send(&[0xC0, 0]).await; // PINGREQ
            assert_eq!(observer.next().await, sees, "{grants_now}");
        }
        assert_eq!(fixture.refused(Refusal::WillNotAuthorized).await, 1);
        assert_eq!(fixture.refused(Refusal::ClientIdNotAllowed).await, 2);
    }
}
