//! How a connection becomes a client of its worker, and how it ceases to be one. Both happen at one place for one
//! client identifier, so there is never more than one live connection of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, PoisonError};

use contract::grant::PublishRights;
use contract::limits::InstanceLimits;
use contract::refusal::Refusal;
use mqtt::Version;
use replica::InstanceRules;
use router::ClientKey;
use session::{Bounds, Ended, EndedSession, Session, Settings, Will};
use tokio::task::spawn_local;

use crate::attach::{Greeting, Kept};
use crate::client::{Beginning, Client, Ending};
use crate::command::{Collected, Command, Newcomer};
use crate::farewell::farewell;
use crate::greeting::{Terms, connack};
use crate::instances::{Instance, Seat};
use crate::last_words::{disconnect, refused_connack};
use crate::local_instance::LocalInstance;
use crate::policy::Verdict;
use crate::transport::Transport;
use crate::websocket::CloseCode;
use crate::worker::Worker;

impl Worker {
    /// Obeys one command.
    pub(crate) fn execute(&self, command: Command) {
        let obeyed = catch_unwind(AssertUnwindSafe(|| match command {
            Command::Admit(newcomer) => self.admit(*newcomer),
            // Whoever asked may have gone; it is done all the same.
            Command::Recheck(recheck, answer) => drop(answer.send(self.recheck(&recheck))),
            Command::ListCredentials(asked, answer) => drop(answer.send(self.list_credentials(&asked))),
            Command::Collect(answer) => drop(answer.send(self.collect())),
            Command::Sample(answer) => drop(answer.send(self.sample())),
            Command::Wake(shared) => self.wake_instance(&shared),
            Command::ListGroups(instance, answer) => drop(answer.send(self.list_groups(instance))),
            Command::Publish(request) => self.publish_for(*request),
        }));
        if obeyed.is_err() {
            self.panics.set(self.panics.get() + 1);
        }
    }

    fn admit(&self, newcomer: Newcomer) {
        let examined = self.examine(&newcomer);
        let id = newcomer.instance.id;
        // A socket that cannot be used is one that the peer has given up.
        let Ok(transport) = Transport::from_parts(newcomer.transport) else { return };
        let Newcomer { rest, client_id, asked, will, proof, .. } = newcomer;
        let (instance, seat, kept) = match examined {
            Ok(examined) => examined,
            Err(refusal) => {
                self.node.refused.add(Some(id), refusal);
                let answer = refused_connack(asked.version, refusal, &asked.client);
                self.linger(transport, answer, refusal.into());
                return;
            }
        };
        let limits = &instance.rules().document.limits;
        let terms = Terms::new(&asked, limits);
        let settings = Settings {
            version: asked.version,
            keep_alive_secs: asked.keep_alive_secs,
            will,
            bounds: Bounds::from(limits),
            client: asked.client,
            expiry_secs: terms.expiry_secs,
            expiry_secs_max: terms.expiry_secs_max,
            receive_max: terms.receive_max,
            server_alias_max: terms.topic_alias_max,
        };
        let (version, side, method) = (asked.version, asked.client, asked.method);
        let greeting = Greeting { asked, terms };
        self.start_clean(&kept);
        let mut clients = self.clients.borrow_mut();
        let slot = clients.vacant_entry();
        self.generation.set(self.generation.get().wrapping_add(1));
        let key = ClientKey::new(u32::try_from(slot.key()).unwrap_or(u32::MAX), self.generation.get());
        let client_id: Rc<str> = client_id.into();
        let (lasting, kept_session) = self.claim(&instance, &client_id, &kept, &proof, key).unzip();
        instance.clients.borrow_mut().insert(Rc::clone(&client_id), key);
        instance.counts.connected();
        let beginning = Beginning {
            key,
            client_id,
            version,
            side,
            method,
            instance,
            proof,
            session: None,
            lasting,
            transport,
            received: rest,
            seat,
        };
        let client = Rc::new(Client::new(self.now(), beginning));
        slot.insert(Rc::clone(&client));
        drop(clients);
        self.begin_session(&client, &kept, &greeting, settings, kept_session);
        self.schedule_deadline(&client);
        if let Some(this) = self.this.upgrade() {
            spawn_local(this.serve(client));
        }
    }

    /// Whether a connection may become a client, by what is known now: the configuration may be newer than the one
    /// that the front saw.
    fn examine(&self, newcomer: &Newcomer) -> Result<(Rc<LocalInstance>, Seat, Kept), Refusal> {
        if self.is_stopping.get() {
            return Err(Refusal::NodeStopping);
        }
        let rules = self.node.replica.instance(newcomer.instance.id).ok_or(Refusal::InstanceUnknown)?;
        let instance = self.local_instance(&newcomer.instance, rules);
        let rules = instance.rules();
        newcomer.proof.check(&rules)?;
        check_greeting(newcomer, &rules.document.limits)?;
        let key = instance.clients.borrow().get(&*newcomer.client_id).copied();
        let holder = key.and_then(|key| self.client(key));
        if let Some(holder) = &holder
            && holder.proof.borrow().principal() != newcomer.proof.principal()
        {
            return Err(Refusal::ClientIdInUse);
        }
        let kept = self.find_kept(&instance, &newcomer.client_id, &newcomer.proof, &newcomer.asked)?;
        // A takeover needs no seat beside the holder's, and whoever gets none takes nothing over.
        let seat = {
            let given_up = holder.as_ref().map(|holder| holder.seat.borrow());
            let given_up = given_up.as_deref().and_then(Option::as_ref);
            let limits = &rules.document.limits;
            newcomer.instance.take_seat(limits, newcomer.proof.subject(), given_up, self.now())?
        };
        Self::take_session(&instance, &kept, &rules.document.limits)?;
        if let Some(holder) = holder {
            // Ended before its successor begins [MQTT-3.1.4-2].
            self.close(&holder, Ending::Refused(Refusal::TakenOver));
            self.finish(&holder);
        }
        Ok((instance, seat, kept))
    }

    /// An instance on this worker, with the rules given.
    pub(crate) fn local_instance(
        &self,
        shared: &Arc<Instance>,
        rules: Arc<InstanceRules>,
    ) -> Rc<LocalInstance> {
        let mut instances = self.instances.borrow_mut();
        if let Some(instance) = instances.get(&shared.id)
            && Arc::ptr_eq(&instance.shared, shared)
        {
            if !Arc::ptr_eq(&instance.rules(), &rules) {
                instance.adopt(rules, self.last_append(), self.last_settled());
            }
            return Rc::clone(instance);
        }
        let instance = Rc::new(LocalInstance::new(Arc::clone(shared), rules, self.now()));
        if let Some(before) = instances.insert(shared.id, Rc::clone(&instance)) {
            self.keep_counts(&before);
        }
        drop(instances);
        self.wake_sessions(&instance);
        instance
    }

    /// Ends a client: its subscriptions and its place go first, then its will is published, then it is sent what is
    /// left for it. Does nothing to one that has been ended.
    pub(crate) fn finish(&self, client: &Rc<Client>) {
        let Some(session) = client.session.borrow_mut().take() else { return };
        let ending = client.ending.get().unwrap_or(Ending::Gone);
        let instance = &client.instance;
        instance.counts.disconnected();
        {
            let mut routes = instance.shared.routes.write().unwrap_or_else(PoisonError::into_inner);
            for (filter, _) in session.subscriptions() {
                routes.remove(filter, self.id, client.key);
            }
        }
        self.leave_groups(client);
        self.end_replays(client);
        {
            let mut clients = instance.clients.borrow_mut();
            if clients.get(&client.client_id) == Some(&client.key) {
                clients.remove(&client.client_id);
            }
            if clients.is_empty() {
                instance.unused_since.set(self.now());
            }
        }
        self.clients.borrow_mut().try_remove(client.key.slot() as usize);
        drop(client.seat.borrow_mut().take());
        self.proving.borrow_mut().remove(&client.key);
        self.say_why(client, &session, ending);
        let ended = if self.is_stopping.get() { Ended::NodeStopping } else { Ended::Closed };
        let EndedSession { will, mut lasting, .. } = session.end(ended);
        if let Some(lasting) = &mut lasting
            && lasting.will().is_some_and(|will| !Self::may_leave_will(client, ending, will))
        {
            // It waits, and nobody may publish it then either.
            lasting.set_will(None);
            instance.counts.refused.add(Refusal::WillNotAuthorized);
        }
        // First, so that nothing that fails from here on loses it.
        if let (Some(session), Some(lasting)) = (client.lasting(), lasting) {
            self.put_away(session, lasting);
        }
        if let Some(will) = will {
            self.publish_will(client, ending, &will);
        }
        self.part(client, ending);
    }

    /// Tells a client why it is sent away: with a refused CONNACK if it has not been told that it is connected, and else,
    /// in 5.0, with DISCONNECT.
    fn say_why(&self, client: &Client, session: &Session, ending: Ending) {
        let is_greeted = self.greetings.borrow_mut().remove(&client.key).is_none();
        let Ending::Refused(refusal) = ending else { return };
        let (side, version) = (session.client_side(), client.version);
        let words = match (is_greeted, version) {
            // Its own successor is there: there is nothing that it could make better.
            (false, _) if refusal == Refusal::TakenOver => return,
            (false, _) => refused_connack(version, refusal, &side),
            (true, Version::V5) => disconnect(refusal, &side),
            (true, Version::V31 | Version::V311) => return,
        };
        client.output.borrow_mut().extend_from_slice(&words);
    }

    /// What a client may still have published of a will, by its proof and by why it goes.
    fn check_will(client: &Client, ending: Ending, will: &Will) -> Result<PublishRights, Refusal> {
        let proof = client.proof.borrow();
        match ending {
            Ending::Refused(
                refusal
                @ (Refusal::CredentialsWrong | Refusal::CredentialDisabled | Refusal::InstanceUnknown),
            ) => return Err(refusal),
            Ending::Refused(_) | Ending::Disconnected | Ending::Gone => {
                proof.check(&client.instance.rules())?;
            }
        }
        Ok(proof.grants().publish_rights(will.topic.as_str()))
    }

    /// Whether the will of a client that goes may wait: with what is asked for it once its time has come, and with the
    /// client's rights, which are not kept.
    fn may_leave_will(client: &Client, ending: Ending, will: &Will) -> bool {
        let rules = client.instance.rules();
        let checked = Self::check_will(client, ending, will).and_then(|rights| {
            let verdict = Verdict::with_rights(&rules, rights, will.topic.as_str());
            verdict.check(will.qos, will.retain, &will.payload)
        });
        checked.is_ok()
    }

    /// Publishes a will, if its client may still publish it.
    fn publish_will(&self, client: &Client, ending: Ending, will: &Will) {
        let instance = &client.instance;
        let rules = instance.rules();
        let behind = client.topics.borrow().appends_of(will.topic.as_str()).into_iter().max().unwrap_or(0);
        let published = Self::check_will(client, ending, will).and_then(|rights| {
            self.publish_will_with(instance, &client.client_id, will, &rules, rights, behind)
        });
        if published.is_err() {
            instance.counts.refused.add(Refusal::WillNotAuthorized);
        }
    }

    /// Lets go of the connection. Whoever left by itself is waited for only as long as there is something to tell it: the
    /// answer to a CONNECT that came with its DISCONNECT [MQTT-3.1.4-4].
    fn part(&self, client: &Client, ending: Ending) {
        let transport = client.transport.borrow_mut().take();
        let output = client.output.take();
        drop(client.received.take());
        client.wake();
        let Some(mut transport) = transport else { return };
        match ending {
            // A last word of a layer, such as the answer to a close of WebSocket, may be under way.
            Ending::Gone => drop(transport.write(&[])),
            Ending::Disconnected if output.is_empty() => transport.part(&output, CloseCode::Normal),
            Ending::Disconnected => self.linger(transport, output, CloseCode::Normal),
            Ending::Refused(refusal) => self.linger(transport, output, refusal.into()),
        }
    }

    /// Closes a connection in peace, beside the others.
    fn linger(&self, transport: Transport, last: Vec<u8>, code: CloseCode) {
        if self.lingering.get() >= self.node.config.worker.lingering_max {
            transport.part(&last, code);
            return;
        }
        let (lingering, lingered) = (Rc::clone(&self.lingering), Rc::clone(&self.lingered));
        let time_max = self.node.config.front.linger_time_max();
        lingering.set(lingering.get() + 1);
        spawn_local(async move {
            farewell(transport, last, code, time_max).await;
            lingering.set(lingering.get() - 1);
            lingered.notify_one();
        });
    }

    /// Sends every client away, withholding their wills, and waits until the last has gone.
    pub(crate) async fn stop(&self) {
        self.is_stopping.set(true);
        self.open_round();
        // What was handed in is answered before anybody is sent away, unless the log takes too long.
        let _ = tokio::time::timeout(self.node.config.stop_time_max() / 2, self.settle_all()).await;
        self.open_round();
        let clients: Vec<_> = self.clients.borrow().iter().map(|(_, client)| Rc::clone(client)).collect();
        for client in clients {
            self.close(&client, Ending::Refused(Refusal::NodeStopping));
        }
        self.end_round();
        while self.round_is_open.get() {
            tokio::task::yield_now().await;
            self.end_round();
        }
        self.note_all_groups();
        self.end_round();
        // How far lasting sessions have come is written with the end of their connections.
        let _ = tokio::time::timeout(self.node.config.stop_time_max() / 4, self.settle_all()).await;
        while self.lingering.get() > 0 {
            self.lingered.notified().await;
        }
    }

    fn collect(&self) -> Collected {
        let instances = self.instances.borrow();
        Collected {
            instances: instances.values().map(|it| (it.shared.id, it.counts.read())).collect(),
            forgotten: self.forgotten.borrow().clone(),
            panics: self.panics.get(),
        }
    }
}

/// Whether a client takes what it would be told when it is let in [MQTT-3.1.2-24].
fn check_greeting(newcomer: &Newcomer, limits: &InstanceLimits) -> Result<(), Refusal> {
    let Newcomer { asked, client_id, .. } = newcomer;
    let Some(packet_bytes_max) = asked.client.packet_bytes_max else { return Ok(()) };
    let greeting = connack(asked, &Terms::new(asked, limits), client_id, false);
    if greeting.len() > packet_bytes_max as usize { Err(Refusal::PacketBytesMax) } else { Ok(()) }
}
