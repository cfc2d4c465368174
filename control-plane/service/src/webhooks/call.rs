//! One call of a webhook over HTTP. Names are resolved and checked here, at every call, and the connection goes to an
//! address that was checked: a name that changes its mind between check and connection changes nothing.

use std::error::Error;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::WebhookOptions;
use super::address::Network;
use super::target::{Target, TargetError, check_addresses};

/// The longest that a call may take, from the look-up of its name to the end of what is read of its answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest to wait for a name where somebody waits for the answer.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(4);
/// The most bytes of an answer's body that are read, and of an error that are kept.
const KEPT_BYTES_MAX: usize = 256;
/// The most look-ups at one time. The system's cannot be broken off: each holds a thread until it has ended.
const LOOKUPS_MAX: usize = 16;
/// The most addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 32;
/// What the platform calls itself.
const USER_AGENT: &str = concat!("iotmq-webhook/", env!("CARGO_PKG_VERSION"));

/// What a look-up comes to.
type Found = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a name, and keeps the permit for as long as that goes on, though nobody may wait for it.
pub(crate) type Lookup = Arc<dyn Fn(String, OwnedSemaphorePermit) -> Found + Send + Sync>;

/// The system's way to find addresses.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name, permit| {
        let look_up = move || {
            let _permit = permit;
            let found = (name.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).take(ADDRESSES_MAX).collect())
        };
        Box::pin(async move { tokio::task::spawn_blocking(look_up).await? })
    })
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Called {
    /// With this status and the beginning of this body.
    Answered(u16, String),
    /// Without an answer.
    Failed(String),
}

/// Calls webhooks.
pub(crate) struct Calls {
    rules: Rules,
    time_max: Duration,
    /// Made when first used: reading the system's certificate authorities takes a while, and may fail.
    https: OnceLock<Result<Client, String>>,
    http: OnceLock<Result<Client, String>>,
}

#[derive(Clone)]
struct Rules {
    allowed: Arc<[Network]>,
    lookup: Lookup,
    lookups: Arc<Semaphore>,
}

impl Rules {
    fn check(&self, host: &str, addresses: &[IpAddr], is_plain: bool) -> Result<(), TargetError> {
        check_addresses(host, addresses, is_plain, &self.allowed, is_own)
    }

    async fn resolve(
        &self,
        host: &str,
        is_plain: bool,
        permit: OwnedSemaphorePermit,
    ) -> Result<Vec<IpAddr>, TargetError> {
        let found = (self.lookup)(host.to_owned(), permit).await;
        let addresses = found.map_err(|_| TargetError::Unknown(host.to_owned()))?;
        self.check(host, &addresses, is_plain)?;
        Ok(addresses)
    }
}

/// Whether the address is one of this machine: only then something can be bound to it.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// The resolver of one client: what it does not answer is not connected to.
struct Checked {
    rules: Rules,
    is_plain: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, is_plain) = (self.rules.clone(), self.is_plain);
        Box::pin(async move {
            let permit = Arc::clone(&rules.lookups).acquire_owned().await?;
            let addresses = rules.resolve(name.as_str(), is_plain, permit).await?;
            // The port is the URL's.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            let addresses: Addrs = Box::new(addresses);
            Ok(addresses)
        })
    }
}

impl Calls {
    /// Asks the system for addresses.
    pub(crate) fn of_system(options: WebhookOptions) -> Self {
        Self::new(options.allowed_networks, system_lookup())
    }

    pub(crate) fn new(allowed: Vec<Network>, lookup: Lookup) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS_MAX));
        let rules = Rules { allowed: allowed.into(), lookup, lookups };
        Self { rules, time_max: CALL_TIME_MAX, https: OnceLock::new(), http: OnceLock::new() }
    }

    /// Whether the URL may be called as things are now. A name that cannot be found now, or not be looked for because
    /// many others are, may be found later: it is refused only where plain HTTP would be spoken to nobody knows whom.
    pub(crate) async fn check(&self, target: &Target) -> Result<(), TargetError> {
        if let Some(address) = target.literal() {
            return self.rules.check(target.host(), &[address], target.is_plain());
        }
        let unknown = || Err(TargetError::Unknown(target.host().to_owned()));
        let resolved = match Arc::clone(&self.rules.lookups).try_acquire_owned() {
            Ok(permit) => {
                let resolved = self.rules.resolve(target.host(), target.is_plain(), permit);
                let resolved = tokio::time::timeout(LOOKUP_TIME_MAX.min(self.time_max), resolved).await;
                resolved.unwrap_or_else(|_| unknown())
            }
            Err(_) => unknown(),
        };
        match resolved {
            Err(TargetError::Unknown(_)) if !target.is_plain() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Posts a body.
    pub(crate) async fn post(&self, url: &str, headers: HeaderMap, body: String) -> Called {
        let target = match Target::parse(url) {
            Ok(target) => target,
            Err(error) => return Called::Failed(error.to_string()),
        };
        // The client resolves names, and takes an address in a URL as it stands.
        if let Some(address) = target.literal()
            && let Err(error) = self.rules.check(target.host(), &[address], target.is_plain())
        {
            return Called::Failed(error.to_string());
        }
        let client = match self.client(target.is_plain()) {
            Ok(client) => client,
            Err(error) => return Called::Failed(error.clone()),
        };
        let call = async {
            let request = client.post(target.url().clone()).headers(headers);
            let request = request.header(CONTENT_TYPE, "application/cloudevents+json").body(body);
            let mut response = request.send().await?;
            let mut kept = Vec::new();
            while kept.len() < KEPT_BYTES_MAX {
                // What breaks off after the status is answered all the same.
                let Ok(Some(chunk)) = response.chunk().await else { break };
                kept.extend_from_slice(&chunk);
            }
            kept.truncate(KEPT_BYTES_MAX);
            Ok(Called::Answered(response.status().as_u16(), readable(&kept)))
        };
        match tokio::time::timeout(self.time_max, call).await {
            Ok(Ok(called)) => called,
            Ok(Err(error)) => Called::Failed(explain(&error)),
            Err(_) => Called::Failed(format!("no answer within {:?}", self.time_max)),
        }
    }

    fn client(&self, is_plain: bool) -> &Result<Client, String> {
        let place = if is_plain { &self.http } else { &self.https };
        place.get_or_init(|| {
            let builder = Client::builder()
                .dns_resolver(Arc::new(Checked { rules: self.rules.clone(), is_plain }))
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .user_agent(USER_AGENT)
                .pool_max_idle_per_host(0)
                .https_only(!is_plain);
            builder.build().map_err(|error| explain(&error))
        })
    }
}

/// What went wrong, without the URL: it may hold what is nobody's business.
fn explain(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    readable(text.as_bytes().get(..KEPT_BYTES_MAX).unwrap_or(text.as_bytes()))
}

/// Bytes of a stranger as one line of text.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests;
