//! What every handler may reach.

use std::num::NonZeroU32;
use std::sync::Arc;

use service::Services;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::rate::{RateOptions, Rates};

/// How much more than one caller all callers behind one address may ask together.
const CALLERS_PER_ADDRESS: u32 = 10;

/// How the API is to behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiOptions {
    /// How much one caller may ask.
    pub rate: RateOptions,
    /// Whether cookies are for TLS only. Without it they also travel over plain HTTP, which only loopback offers.
    pub secure_cookies: bool,
}

impl Default for ApiOptions {
    fn default() -> Self {
        let rate = RateOptions {
            requests_per_sec: NonZeroU32::new(100).expect("not zero"),
            burst: NonZeroU32::new(2_000).expect("not zero"),
        };
        Self { rate, secure_cookies: true }
    }
}

/// What every handler may reach. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub(crate) services: Services,
    pub(crate) options: ApiOptions,
    pub(crate) metrics: Arc<Metrics>,
    /// By person or node; by address for those who have not said who they are.
    pub(crate) callers: Arc<Rates>,
    /// By address, whoever asks: what guards the look-up of callers itself.
    pub(crate) addresses: Arc<Rates>,
    /// When it is cancelled, those who wait are answered at once.
    pub(crate) stopping: CancellationToken,
}

impl AppState {
    /// The state of an API that has answered nothing yet. Once `stopping` is cancelled no long poll waits.
    #[must_use]
    pub fn new(services: Services, options: ApiOptions, stopping: CancellationToken) -> Self {
        let RateOptions { requests_per_sec, burst } = options.rate;
        let factor = NonZeroU32::new(CALLERS_PER_ADDRESS).expect("not zero");
        let of_address = RateOptions {
            requests_per_sec: requests_per_sec.saturating_mul(factor),
            burst: burst.saturating_mul(factor),
        };
        Self {
            services,
            options,
            metrics: Arc::new(Metrics::default()),
            callers: Arc::new(Rates::new(options.rate)),
            addresses: Arc::new(Rates::new(of_address)),
            stopping,
        }
    }

    /// Forgets callers who have not asked for a while. To be called now and then.
    pub fn forget_idle_callers(&self) {
        self.callers.forget_idle();
        self.addresses.forget_idle();
    }
}
