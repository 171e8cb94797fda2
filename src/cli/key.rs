//! `assay key`: make and list keys.

use std::process::ExitCode;

use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{KeyArgs, KeyVerb, Purpose};
use super::context::Context;
use super::failure::{Failure, UsageError};
use crate::domain::{Fingerprint, Timestamp};
use crate::host::files;
use crate::site::Site;
use crate::trust::{ArchiveKey, Ed25519Key};

pub(super) fn run(context: &Context, args: &KeyArgs) -> Result<ExitCode, Failure> {
    let site = context.site()?;
    match &args.verb {
        KeyVerb::New { purpose, name } => {
            let key = NewKey::make(*purpose, name, context.now())?;
            key.save(&site.public_keys(), &site.secret_keys())?;
            context.output.record(&key.shown(), &key.fingerprint.to_string())?;
            context.output.note(&key.advice());
        }
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
    pub(super) fn make(purpose: Purpose, name: &str, now: Timestamp) -> Result<Self, Failure> {
        if matches!(purpose, Purpose::Archive) {
            let key = ArchiveKey::generate(name, now)?;
            let (public, secret) = (key.certificate_armored()?, key.secret_armored()?);
            return Ok(Self {
                purpose,
                fingerprint: key.fingerprint().clone(),
                public,
                secret,
            });
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

#[derive(Serialize)]
struct Listed {
    fingerprint: String,
    kind: &'static str,
    secret: bool,
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
        let secret = files::exists(&site.secret_key_path(&fingerprint));
        let listed = Listed {
            fingerprint: fingerprint.to_string(),
            kind,
            secret,
        };
        let text = format!(
            "{} {} {}",
            listed.fingerprint,
            kind,
            if secret { "secret-here" } else { "public-only" }
        );
        context.output.record(&listed, &text)?;
    }
    Ok(())
}
