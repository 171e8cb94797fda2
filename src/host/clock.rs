//! The only reader of the machine's clock.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]

use std::time::{SystemTime, UNIX_EPOCH};

use super::Environment;
use crate::domain::Timestamp;

/// Where the present comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// One instant, for reproducible output and for tests.
    Fixed(Timestamp),
}

impl Clock {
    /// Fixed by `SOURCE_DATE_EPOCH` when that is set to a number, else the machine's.
    #[must_use]
    pub fn from_environment(environment: Environment) -> Self {
        match environment.get("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok()) {
            Some(seconds) => Self::Fixed(Timestamp::from_unix(seconds)),
            None => Self::System,
        }
    }

    /// Now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::Fixed(at) => at,
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
            }
        }
    }
}
