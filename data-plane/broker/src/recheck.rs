//! Live connections under changed configuration: what may no longer be is closed at once, what may goes on under the
//! rules as they are now.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use contract::refusal::Refusal;
use replica::InstanceRules;

use crate::authenticate::Proof;
use crate::client::{Client, Ending};
use crate::command::{CredentialInUse, CredentialsAsked, Recheck};
use crate::local_instance::LocalInstance;
use crate::policy;
use crate::worker::Worker;

impl Worker {
    /// Looks at the connections named; the answer is how many of them end.
    pub(crate) fn recheck(&self, recheck: &Recheck) -> u64 {
        let mut closed = 0;
        for instance in self.instances_of(recheck) {
            let rules = self.node.replica.instance(instance.shared.id);
            if let Some(rules) = &rules {
                instance.adopt(Arc::clone(rules), self.last_append(), self.last_settled());
            }
            for client in self.clients_of(&instance) {
                if client.is_ending() {
                    continue;
                }
                if let Err(refusal) = check(&client, rules.as_deref(), recheck) {
                    self.close(&client, Ending::Refused(refusal));
                    closed += 1;
                }
            }
        }
        closed
    }

    fn instances_of(&self, recheck: &Recheck) -> Vec<Rc<LocalInstance>> {
        let instances = self.instances.borrow();
        if recheck.all {
            return instances.values().cloned().collect();
        }
        let of_credentials = recheck.credentials.keys().map(|(instance, _)| instance);
        let named: BTreeSet<_> = recheck.instances.iter().chain(of_credentials).collect();
        named.into_iter().filter_map(|id| instances.get(id).cloned()).collect()
    }

    /// Which of the credentials asked for are in use.
    pub(crate) fn list_credentials(&self, asked: &CredentialsAsked) -> Vec<CredentialInUse> {
        let these: Option<BTreeSet<_>> = match asked {
            CredentialsAsked::All => None,
            CredentialsAsked::These(these) => Some(these.iter().copied().collect()),
        };
        let wanted =
            |instance, credential| these.as_ref().is_none_or(|these| these.contains(&(instance, credential)));
        let clients = self.clients.borrow();
        let in_use = |(_, client): (usize, &Rc<Client>)| {
            let instance = client.instance.shared.id;
            match &**client.proof.borrow() {
                Proof::Credential { document, .. } if wanted(instance, document.id) => {
                    Some(CredentialInUse {
                        instance,
                        credential: document.id,
                        username: document.username.clone(),
                    })
                }
                Proof::Credential { .. } | Proof::Token(_) => None,
            }
        };
        clients.iter().filter_map(in_use).collect()
    }

    fn clients_of(&self, instance: &LocalInstance) -> Vec<Rc<Client>> {
        let keys: Vec<_> = instance.clients.borrow().values().copied().collect();
        keys.into_iter().filter_map(|key| self.client(key)).collect()
    }
}

/// Whether a client may stay.
fn check(client: &Client, rules: Option<&InstanceRules>, recheck: &Recheck) -> Result<(), Refusal> {
    let rules = rules.ok_or(Refusal::InstanceUnknown)?;
    let mut proof = client.proof.borrow_mut();
    proof.check(rules)?;
    let Proof::Credential { document, .. } = &**proof else { return Ok(()) };
    let Some(now) = recheck.credentials.get(&(client.instance.shared.id, document.id)) else { return Ok(()) };
    proof.renew(now.as_ref(), &client.client_id)?;
    client.topics.borrow_mut().clear();
    // A subscription that would not be granted any more cannot be ended without the client's knowing: it is told by
    // losing the connection, and gets what it may when it comes back.
    let session = client.session.borrow();
    let mut subscriptions = session.iter().flat_map(session::Session::subscriptions);
    let may_stay =
        subscriptions.all(|(filter, granted)| policy::still_grants(proof.grants(), filter, granted.qos()));
    if may_stay { Ok(()) } else { Err(Refusal::RightsWithdrawn) }
}
