//! Whose turn it is in a shared subscription, as the API names it: strictly, where a node reads leniently.

use contract::shared_group::SharedStrategy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose turn it is among the members of a shared subscription that are connected and have room. `round_robin`: they take
/// turns. `sticky`: always the same one's, as long as it has room. `least_in_flight`: that of the member with the fewest
/// messages unacknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = SharedStrategy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SharedStrategyView {
    /// They take turns.
    #[default]
    RoundRobin,
    /// Always the same one's, as long as it has room; then the next one's.
    Sticky,
    /// That of the member with the fewest messages unacknowledged; among several they take turns.
    LeastInFlight,
}

impl From<SharedStrategy> for SharedStrategyView {
    fn from(strategy: SharedStrategy) -> Self {
        match strategy {
            SharedStrategy::RoundRobin => Self::RoundRobin,
            SharedStrategy::Sticky => Self::Sticky,
            SharedStrategy::LeastInFlight => Self::LeastInFlight,
        }
    }
}

impl From<SharedStrategyView> for SharedStrategy {
    fn from(strategy: SharedStrategyView) -> Self {
        match strategy {
            SharedStrategyView::RoundRobin => Self::RoundRobin,
            SharedStrategyView::Sticky => Self::Sticky,
            SharedStrategyView::LeastInFlight => Self::LeastInFlight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_refused_and_the_default_is_the_contracts() {
        assert!(serde_json::from_str::<SharedStrategyView>("\"by_weight\"").is_err());
        assert_eq!(SharedStrategyView::default(), SharedStrategy::default().into());
    }
}
