//! `assay key`: make and list keys.

use std::process::ExitCode;

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{Days, KeyArgs, KeyVerb, Purpose};
use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::{ArchiveName, Fingerprint, Timestamp};
use crate::host::files;
use crate::site::{ArchiveConfig, SigningKey, Site};
use crate::trust::{ArchiveKey, Ed25519Key, Keyring};

pub(super) fn run(context: &Context, args: &KeyArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    match &args.verb {
        KeyVerb::New {
            purpose,
            name,
            valid_for,
        } => {
            let key = NewKey::make(*purpose, name, context.now(), *valid_for)?;
            key.save(&site.public_keys(), &site.secret_keys())?;
            context.output.record(&key.shown(), &key.fingerprint.to_string())?;
            context.output.note(&key.advice());
        }
        KeyVerb::Extend { key, valid_for } => extend(context, &site, key, *valid_for)?,
        KeyVerb::List => list(context, &site)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A key that was just made, and is nowhere yet.
pub(super) struct NewKey {
    purpose: Purpose,
    pub(super) fingerprint: Fingerprint,
    public: String,
    secret: Zeroizing<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    fingerprint: &'a Fingerprint,
    kind: &'static str,
    public: &'a str,
}

impl NewKey {
    pub(super) fn make(purpose: Purpose, name: &str, now: Timestamp, days: Option<Days>) -> Result<Self, Failure> {
        if matches!(purpose, Purpose::Archive) {
            let key = ArchiveKey::generate_for(name, now, days.map(|days| days.0))?;
            let (public, secret) = (key.certificate_armored()?, key.secret_armored()?);
            return Ok(Self {
                purpose,
                fingerprint: key.fingerprint().clone(),
                public,
                secret,
            });
        }
        if days.is_some() {
            let why = "`--for` is for the keys of archives: how long a builder's counts is said in the policy";
            return Err(UsageError::Argument(why.to_owned()).into());
        }
        let key = Ed25519Key::generate();
        let public = key.public();
        Ok(Self {
            purpose,
            fingerprint: public.fingerprint(),
            public: public.hex(),
            secret: key.to_text(),
        })
    }

    /// The secret goes first: a public key without its secret would only mislead.
    pub(super) fn save(&self, public: &std::path::Path, secret: &std::path::Path) -> Result<(), Failure> {
        let stem = self.fingerprint.file_stem();
        files::create_folder(secret)?;
        files::set_mode(secret, 0o700)?;
        files::write_secret(
            &secret.join(format!("{stem}.secret")),
            format!("{}\n", self.secret.trim_end()).as_bytes(),
        )?;
        let ending = if matches!(self.purpose, Purpose::Archive) {
            "asc"
        } else {
            "pub"
        };
        files::write(
            &public.join(format!("{stem}.{ending}")),
            format!("{}\n", self.public.trim_end()).as_bytes(),
        )?;
        Ok(())
    }

    fn shown(&self) -> Shown<'_> {
        let kind = if matches!(self.purpose, Purpose::Archive) {
            "openpgp"
        } else {
            "ed25519"
        };
        Shown {
            fingerprint: &self.fingerprint,
            kind,
            public: &self.public,
        }
    }

    fn advice(&self) -> String {
        match self.purpose {
            Purpose::Archive => format!("set `signing-key = \"{}\"` in repos/<archive>.toml", self.fingerprint),
            Purpose::Gate => format!("set `gate = \"{}\"` in assay.toml", self.fingerprint),
            Purpose::Builder => format!(
                "add to a policy:\n[[builder]]\nid = \"NAME/MACHINE\"\noperator = \"NAME\"\nhosting = \"WHERE\"\npublic-key = \"{}\"",
                self.public
            ),
        }
    }
}

/// The certificate goes last: the secret that has the newer self-signature makes it again.
fn extend(context: &Context, site: &Site, fingerprint: &Fingerprint, days: Days) -> Result<(), Failure> {
    let key = site.archive_key(fingerprint)?.extended(context.now(), days.0)?;
    files::replace_secret(&site.secret_key_path(fingerprint), key.secret_armored()?.as_bytes())?;
    let certificate = key.certificate_armored()?;
    files::write(&site.public_key_path(fingerprint), certificate.as_bytes())?;
    let ends = Keyring::parse(certificate.as_bytes())?.status(context.now());
    let ends = ends.first().and_then(|status| status.ends_at);
    let text = format!(
        "{fingerprint} ends {}",
        ends.map(|end| end.to_string()).unwrap_or_default()
    );
    let shown = serde_json::json!({ "fingerprint": fingerprint, "ends-at": ends });
    context.output.record(&shown, &text)?;
    context.output.note(&format!(
        "commit `{}`, and give it to clients: those that have the old one refuse what is signed after its end",
        site.public_key_path(fingerprint).display()
    ));
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    fingerprint: String,
    kind: &'static str,
    /// Whether the secret is a file here.
    secret: bool,
    /// The archives that it signs for now.
    signs: Vec<ArchiveName>,
    /// The archives that it signed for.
    signed: Vec<ArchiveName>,
    /// When it can sign no more; none: never, or it is no OpenPGP key.
    ends_at: Option<Timestamp>,
    /// Why nothing can be signed with it today.
    problem: Option<String>,
}

impl Listed {
    fn of(site: &Site, fingerprint: &Fingerprint, kind: &'static str, now: Timestamp) -> Self {
        let of = |former: bool| {
            let by = |config: &ArchiveConfig| match former {
                true => config.signing().former_keys.contains(fingerprint),
                false => config.signing_keys().contains(fingerprint),
            };
            let archives = site.archives().iter().filter(move |(_, config)| by(config));
            archives.map(|(name, _)| name.clone()).collect()
        };
        let status = match kind {
            "openpgp" => site
                .openpgp_keyring(fingerprint)
                .map(|keyring| keyring.status(now).into_iter().next()),
            _ => Ok(None),
        };
        let (ends_at, problem) = match status {
            Ok(Some(status)) if status.signing_keys.is_empty() => (None, Some(status.problems.join("; "))),
            Ok(status) => (status.and_then(|status| status.ends_at), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            fingerprint: fingerprint.to_string(),
            kind,
            secret: files::exists(&site.secret_key_path(fingerprint)),
            signs: of(false),
            signed: of(true),
            ends_at,
            problem,
        }
    }

    fn text(&self, elsewhere: Option<&str>) -> String {
        let here = if self.secret {
            "secret-here"
        } else {
            elsewhere.unwrap_or("public-only")
        };
        let mut text = format!("{} {} {here}", self.fingerprint, self.kind);
        let names = |names: &[ArchiveName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        for (word, archives) in [("signs", &self.signs), ("signed", &self.signed)] {
            if !archives.is_empty() {
                text.push_str(&format!(" {word}={}", names(archives)));
            }
        }
        match (&self.problem, self.ends_at) {
            (Some(problem), _) => text.push_str(&format!(" problem: {problem}")),
            (None, Some(end)) => text.push_str(&format!(" ends={end}")),
            (None, None) => {}
        }
        text
    }
}

fn list(context: &Context, site: &Site) -> Result<(), Failure> {
    for path in files::list(&site.public_keys())? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (kind, fingerprint) = match path.extension().and_then(|e| e.to_str()) {
            Some("asc") => ("openpgp", stem.clone()),
            Some("pub") => match stem.split_once('-') {
                Some(("ed25519", rest)) => ("ed25519", format!("ed25519:{rest}")),
                Some(("SHA256", rest)) => ("ssh", format!("SHA256:{}", rest.replace('_', "/"))),
                _ => continue,
            },
            _ => continue,
        };
        let fingerprint = Fingerprint::new(fingerprint)
            .map_err(|error| UsageError::Argument(format!("`{}`: {error}", path.display())))?;
        let listed = Listed::of(site, &fingerprint, kind, context.now());
        let elsewhere = match files::exists(&site.signer_path(&fingerprint)) {
            true => Some(match site.signing_key(&fingerprint)? {
                SigningKey::Offline => "offline",
                _ => "outside",
            }),
            false => None,
        };
        let text = listed.text(elsewhere);
        context.output.record(&listed, &text)?;
    }
    Ok(())
}
