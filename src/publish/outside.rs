//! Signing by a program: `gpg` with its agent or a token, a wrapper, a machine that `ssh` reaches.
//!
//! What it gives back is a stranger's word until it was checked: that it is a signature, over these very bytes, by the key
//! that was asked for, and that clients will take it today. Nothing has moved until then.

use super::PublishError;
use crate::domain::{Coded as _, Fingerprint, Timestamp};
use crate::host::{Clock, Environment, HostError, Program};
use crate::site::OutsideSigner;
use crate::trust::{Keyring, Requirement, Verified, verify_inrelease, verify_release_gpg};

/// The most that a program may write: the largest signed text, twice.
const LARGEST: u64 = 2 << 20;
/// What gpg, its agent and ssh find their keys by.
const PASSED_ON: [&str; 7] = [
    "HOME",
    "USER",
    "LOGNAME",
    "GNUPGHOME",
    "GPG_TTY",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
];

/// A key that a program signs with.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) key: Fingerprint,
    /// Its certificate alone.
    pub(super) keyring: Keyring,
    pub(super) how: OutsideSigner,
}

impl Outside {
    /// `text`, clearsigned.
    pub(super) fn clearsign(&self, text: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        let bytes = self.ask("--clearsign", text)?;
        let verified =
            verify_inrelease(&bytes, &self.requirement(at)).map_err(|error| self.wrong(error.to_string()))?;
        if verified.text != text {
            return Err(self.wrong("it signed another text".to_owned()));
        }
        self.alone(&verified)?;
        Ok(bytes)
    }

    /// A detached signature.
    pub(super) fn detach(&self, data: &[u8], at: Timestamp) -> Result<Vec<u8>, PublishError> {
        let bytes = self.ask("--detach-sign", data)?;
        let verified = verify_release_gpg(data, &bytes, &self.requirement(at), false);
        self.alone(&verified.map_err(|error| self.wrong(error.to_string()))?)?;
        Ok(bytes)
    }

    /// Valid now, whatever the clock of a test says: a program has a clock of its own, and clients have another.
    fn requirement(&self, at: Timestamp) -> Requirement<'_> {
        Requirement {
            keyring: &self.keyring,
            threshold: 1,
            now: Clock::System.now().max(at),
        }
    }

    /// What it signs with beside this key nobody asked for.
    fn alone(&self, verified: &Verified) -> Result<(), PublishError> {
        match verified.others.first() {
            Some(other) => Err(self.wrong(format!("there is another signature beside its own: {other}"))),
            None => Ok(()),
        }
    }

    fn ask(&self, form: &str, data: &[u8]) -> Result<Vec<u8>, PublishError> {
        let (name, args) = self
            .how
            .signer
            .split_first()
            .map_or(("", &[][..]), |(name, args)| (name.as_str(), args));
        let mut program = Program::new(name).args(args).arg(form).input(data.to_vec());
        for variable in PASSED_ON {
            if let Some(value) = Environment.get(variable) {
                program = program.env(variable, value);
            }
        }
        let seconds = u64::from(self.how.timeout_seconds.get());
        let output = program.timeout(seconds).limit(LARGEST).whole().run();
        Ok(output.map_err(|error| self.failed(&error))?.stdout)
    }

    fn failed(&self, error: &HostError) -> PublishError {
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        PublishError::Outside {
            key: self.key.clone(),
            why: format!("{error}{hint}"),
        }
    }

    fn wrong(&self, why: String) -> PublishError {
        PublishError::SignedWrongly {
            key: self.key.clone(),
            program: self.how.signer.join(" "),
            why,
        }
    }
}
