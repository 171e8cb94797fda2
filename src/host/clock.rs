//! The only reader of the machine's clock.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Environment, HostError};
use crate::domain::Timestamp;

/// The most that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the present comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// One instant, for tests.
    Fixed(Timestamp),
}

impl Clock {
    /// Fixed by `ASSAY_TEST_CLOCK`, seconds since 1970, which our own tests set; else the machine's. Not by
    /// `SOURCE_DATE_EPOCH`, which image builds export: what the gate takes for the present brings revoked keys back and
    /// ends waiting.
    ///
    /// # Errors
    /// When the variable is set, and is no such number: a test that slips would be about today.
    pub fn from_environment(environment: Environment) -> Result<Self, HostError> {
        let Some(text) = environment.get("ASSAY_TEST_CLOCK") else {
            return Ok(Self::System);
        };
        match text.parse() {
            Ok(seconds) => Ok(Self::Fixed(Timestamp::from_unix(seconds))),
            Err(_) => Err(HostError::TestClock(text)),
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

    /// Waits until it is `at`, a minute at most; a fixed clock is never waited for.
    ///
    /// # Errors
    /// The present, when `at` is further ahead.
    pub fn reach(self, at: Timestamp) -> Result<(), Timestamp> {
        while let Some(ahead) = self.until(at) {
            if ahead > PATIENCE {
                return Err(self.now());
            }
            if ahead > Duration::from_secs(3) {
                let seconds = ahead.as_secs();
                tracing::warn!("waiting {seconds} s: what was made last is dated ahead of this machine's clock");
            }
            std::thread::sleep(ahead);
        }
        Ok(())
    }

    /// How far ahead an instant is; none when it is past.
    fn until(self, at: Timestamp) -> Option<Duration> {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(at.unix_u64()))?;
        match self {
            Self::Fixed(_) => None,
            Self::System => at
                .duration_since(SystemTime::now())
                .ok()
                .filter(|ahead| !ahead.is_zero()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_waited_for_and_what_is_far_is_not() {
        let soon = Clock::System.now().plus(1);
        assert_eq!(Clock::System.reach(soon), Ok(()));
        assert!(Clock::System.now() >= soon);
        let far = Clock::System.now().plus(3600);
        assert!(Clock::System.reach(far).is_err_and(|now| now < far));
        assert_eq!(Clock::Fixed(soon).reach(far), Ok(()));
    }
}
