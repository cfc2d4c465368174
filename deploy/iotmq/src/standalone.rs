//! `iotmq standalone`: everything in one process. The order of start and stop stands here and nowhere else: data
//! directory, PostgreSQL, controller, broker; and back again, whatever made it end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use broker::Broker;
use contract::feed::{Authentication, InstanceState};
use contract::grant::{Action, Grant, Grants};
use contract::ids::InstanceId;
use contract::qos::Qos;
use controller::Controller;
use postgres_server::DataDirectory;
use service::Services;
use service::access::{AccessError, Caller};
use service::bootstrap::{Bootstrapped, bootstrap};
use service::error::GetError;
use service::instances::Instance;
use service::page::ListQuery;
use service::tokens::NewToken;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::announce::{self, Demo, PUBLISHER, Places, SUBSCRIBER, Welcome};
use crate::clock;
use crate::config::{self, Config, Flags};
use crate::data;
use crate::database::Database;
use crate::logging;
use crate::tls::{self, Names, Tls, Trust};

/// Threads of the runtime that carries the controller and the node's own calls; messages are carried elsewhere.
const CONTROL_THREADS: usize = 2;
/// How long a token of the printed lines is good.
const DEMO_TOKEN_SECS: u64 = 24 * 60 * 60;
/// How long the broker may take to get its configuration, and how often it is asked.
const KNOWN_TIME_MAX: Duration = Duration::from_secs(30);
const KNOWN_PERIOD: Duration = Duration::from_millis(10);
/// What the audit log calls the request of the start.
const START_REQUEST: &str = "start";

/// Runs until a signal, or until a part of it fails.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = config::load(flags)?;
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .context("no threads can be had")?;
    runtime.block_on(async {
        let stop = stop_at_signal()?;
        config.controller.check()?;
        config.broker.check()?;
        let directory = data::take(&config.data_dir)?;
        ports_are_free(&config)?;
        let database = Database::start(&config.postgres, directory.path()).await?;
        let outcome = with_database(config, &directory, &database, &stop).await;
        database.stop().await;
        announce::progress("stopped");
        outcome
    })
}

async fn with_database(
    config: Config,
    directory: &DataDirectory,
    database: &Database,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if stop.is_cancelled() {
        return Ok(());
    }
    let mut of_controller = config.controller;
    of_controller.database.url = database.url();
    if let Some(listener) = config.broker.listeners.first() {
        of_controller.platform.mqtt_host = tls::reachable(listener.address.ip()).to_string();
        of_controller.platform.mqtt_port = listener.address.port();
        of_controller.platform.mqtt_tls = listener.kind().is_tls();
    }
    let master_key = data::master_key(directory.path())?;
    announce::progress("bringing the database up to date and starting the controller");
    let mount = broker::Mount::default();
    let tls = open_tls(&config.tls, &of_controller, &config.broker, directory)?;
    let trust = tls.as_ref().and_then(|tls| tls.authority.clone());
    let of_tls = tls.as_ref().map(|tls| (Arc::clone(&tls.mqtt), Arc::clone(&tls.http)));
    let extras =
        controller::Extras { tls: of_tls.as_ref().map(|(_, http)| Arc::clone(http)), routes: mount.router() };
    let controller = controller::start_with(of_controller, master_key, extras).await?;
    let of_broker =
        broker::Extras { tls: of_tls.map(|(mqtt, http)| broker::Tls { mqtt, http }), mount: Some(mount) };
    if let Some(tls) = tls {
        tokio::spawn(tls.keep_new(stop.clone()));
    }
    let surroundings = Surroundings { directory, database, trust, stop };
    let outcome = with_controller(config.broker, of_broker, &controller, surroundings).await;
    controller.stop().await;
    outcome
}

/// What the broker and the lines about it are made with.
struct Surroundings<'a> {
    directory: &'a DataDirectory,
    database: &'a Database,
    /// What a client has to be told to trust.
    trust: Option<Trust>,
    stop: &'a CancellationToken,
}

/// The certificates, if anything is to be encrypted.
fn open_tls(
    settings: &tls::Settings,
    of_controller: &controller::Config,
    of_broker: &broker::Config,
    directory: &DataDirectory,
) -> anyhow::Result<Option<Tls>> {
    let encrypted = of_broker.listeners.iter().filter(|listener| listener.kind().is_tls());
    let mut addresses: Vec<_> = encrypted.map(|listener| listener.address.ip()).collect();
    addresses.extend(of_controller.api.is_tls().then(|| of_controller.api.address.ip()));
    if addresses.is_empty() {
        return Ok(None);
    }
    let names = Names::new(&settings.names, &addresses);
    Tls::open(settings, directory.path(), names, clock::now()).map(Some)
}

async fn with_controller(
    mut of_broker: broker::Config,
    extras: broker::Extras,
    controller: &Controller,
    surroundings: Surroundings<'_>,
) -> anyhow::Result<()> {
    let Surroundings { directory, database, trust, stop } = surroundings;
    let caller = Caller::platform(START_REQUEST);
    let services = controller.services();
    let made = bootstrap(services).await?;
    if let Some(password) = &made.one_time_password {
        // Said at once: it is kept nowhere, and what follows may still fail.
        announce::progress(&format!("the password of {} is {}", made.operator_email, password.expose()));
    }
    let mqtt_is_tls = of_broker.listeners.first().is_some_and(|listener| listener.kind().is_tls());
    let demo = find_demo(services, &caller, made.instance).await?;
    of_broker.data_dir = directory.path().join("broker");
    of_broker.controller.url = Some(format!("http://{}", controller.node_address()));
    // Where the controller asks for stored messages; whoever else is on this machine lacks the node's key.
    of_broker.node_api.address.get_or_insert(SocketAddr::from(([127, 0, 0, 1], 0)));
    of_broker.controller.join_token =
        Some(services.nodes.create_join_token(&caller).await?.token.expose().to_owned());
    if let Some(demo) = &demo {
        for listener in &mut of_broker.listeners {
            listener.default_instance.get_or_insert_with(|| demo.label.clone());
        }
        of_broker.websocket.default_instance.get_or_insert_with(|| demo.label.clone());
    }
    if stop.is_cancelled() {
        return Ok(());
    }
    announce::progress("starting the broker");
    let mut broker = tokio::task::spawn_blocking(|| broker::start_with(of_broker, extras)).await??;
    let outcome = async {
        if let Some(demo) = &demo {
            known_to(&broker, demo.id).await?;
        }
        announced(services, &caller, &broker).await?;
        let places = Places::new(controller, &broker, mqtt_is_tls, trust);
        welcome(controller, places, directory, made, demo).await?.print();
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = broker.join() => bail!("the broker has ended by itself"),
            how = database.ended() => bail!("the database has ended: {how}"),
        }
    }
    .await;
    announce::progress("stopping");
    broker.stop().await;
    outcome
}

/// The demo instance, unless it has been deleted or suspended, or takes no tokens: then there is nothing to show.
async fn find_demo(services: &Services, caller: &Caller, id: InstanceId) -> anyhow::Result<Option<Instance>> {
    match services.instances.get(caller, id).await {
        Ok(demo)
            if demo.state == InstanceState::Running
                && demo.authentication.contains(&Authentication::Token) =>
        {
            Ok(Some(demo))
        }
        Ok(_) | Err(GetError::Access(AccessError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the broker has the instance, so that the printed lines work as soon as they can be read.
async fn known_to(broker: &Broker, instance: InstanceId) -> anyhow::Result<()> {
    let known = async {
        while broker.replica().instance(instance).is_none() {
            tokio::time::sleep(KNOWN_PERIOD).await;
        }
    };
    tokio::time::timeout(KNOWN_TIME_MAX, known).await.context("the broker does not get its configuration")
}

/// Waits until the controller knows where to ask the broker for messages, so that the first question is answered.
async fn announced(services: &Services, caller: &Caller, broker: &Broker) -> anyhow::Result<()> {
    let address = broker.node_api_address().map(|address| format!("http://{address}"));
    let announced = async {
        loop {
            let nodes = services.nodes.list(caller, &ListQuery::default()).await?.items;
            if address.is_none() || nodes.iter().any(|node| node.address == address) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(KNOWN_PERIOD).await;
        }
    };
    tokio::time::timeout(KNOWN_TIME_MAX, announced).await.context("the broker does not report")?
}

async fn welcome(
    controller: &Controller,
    places: Places,
    directory: &DataDirectory,
    made: Bootstrapped,
    demo: Option<Instance>,
) -> anyhow::Result<Welcome> {
    let token = async |client_id: &str, action: Action| {
        demo_token(controller, made.instance, client_id, action, &made.topic).await
    };
    let demo = match demo {
        Some(demo) => Some(Demo {
            label: demo.label,
            subscribe_token: token(SUBSCRIBER, Action::Subscribe).await?,
            publish_token: token(PUBLISHER, Action::Publish).await?,
            topic: made.topic.clone(),
        }),
        None => None,
    };
    Ok(Welcome {
        places,
        data_dir: directory.path().display().to_string(),
        operator_email: made.operator_email,
        one_time_password: made.one_time_password.map(|password| password.expose().to_owned()),
        demo,
    })
}

async fn demo_token(
    controller: &Controller,
    instance: InstanceId,
    client_id: &str,
    action: Action,
    topic: &str,
) -> anyhow::Result<String> {
    let grant = Grant {
        actions: vec![action],
        topic_filter: format!("{topic}/#").parse()?,
        qos_max: Qos::AtLeastOnce,
        retain: false,
    };
    let new = NewToken {
        client_id: Some(client_id.to_owned()),
        ttl_secs: DEMO_TOKEN_SECS,
        grants: Grants::new(vec![grant]),
        ..NewToken::default()
    };
    let issued = controller.services().tokens.issue(&Caller::platform(START_REQUEST), instance, new).await?;
    Ok(issued.text.expose().to_owned())
}

impl Places {
    fn new(controller: &Controller, broker: &Broker, mqtt_is_tls: bool, trust: Option<Trust>) -> Self {
        let reachable = |address: SocketAddr| SocketAddr::new(tls::reachable(address.ip()), address.port());
        Self {
            api: reachable(controller.api_address()),
            api_is_tls: controller.is_tls(),
            mqtt: reachable(broker.mqtt_address()),
            mqtt_is_tls,
            trust,
        }
    }
}

/// A token that is cancelled at the first SIGINT or SIGTERM.
fn stop_at_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
    });
    Ok(stop)
}

/// Asks for each address before anything is started, so that the usual mistake costs nothing.
fn ports_are_free(config: &Config) -> anyhow::Result<()> {
    let free = |what: &str, setting: &str, address: SocketAddr| {
        TcpListener::bind(address).map(drop).with_context(|| {
            format!("cannot listen on {address} for {what}: choose another with `{setting}`")
        })
    };
    free("the API", "--api-address", config.controller.api.address)?;
    for listener in &config.broker.listeners {
        free("MQTT", "--mqtt-address", listener.address)?;
    }
    Ok(())
}
