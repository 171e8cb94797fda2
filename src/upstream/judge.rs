//! Whether a Release that is signed well is also the right one, and fresh (threats F1, F2, F4, F6). Pure.

use super::age::is_too_old;
use super::plan::{Plan, Planned, Wanted, architectures, plan};
use super::{Follow, UpstreamError};
use crate::domain::{Architecture, Component, Digest, Fingerprint, RelPath, SuiteName, Timestamp, escape};
use crate::format::FormatError;
use crate::format::release::Release;
use crate::site::MirrorArchive;
use crate::snapshot::{IndexFile, LONGEST_VALUE, SuiteState, UNPROVEN, UpstreamRelease, is_plain};

/// A Release whose signature holds.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    pub(super) suite: &'a SuiteName,
    /// InRelease, or the Release that `release_gpg` is for.
    pub(super) inrelease: Digest,
    pub(super) release_gpg: Option<Digest>,
    pub(super) release: &'a Release,
    pub(super) signers: Vec<Fingerprint>,
}

/// How far in the future a Date may lie, in seconds: as apt has it.
const CLOCKS_DIFFER: i64 = 10;

/// The most bytes of indexes that one suite may have.
const LARGEST: u64 = 16 << 30;

/// The fields that our Release takes over, in this order.
const FIELDS: [&str; 11] = [
    "Origin",
    "Label",
    "Suite",
    "Version",
    "Codename",
    "Changelogs",
    "No-Support-for-Architecture-all",
    "NotAutomatic",
    "ButAutomaticUpgrades",
    // A mirror of an unproven archive is as unproven.
    UNPROVEN.0,
    "Description",
];

/// Judges a Release: what the suite's next state is, and what must be fetched for it.
pub(super) fn judge(
    what: &Follow<'_>,
    previous: Option<&SuiteState>,
    signed: &Signed<'_>,
    now: Timestamp,
) -> Result<(SuiteState, Plan), UpstreamError> {
    let earlier = || what.earlier.iter().find(|state| state.suite == *signed.suite);
    let mut upstream = freshness(what, previous.or_else(earlier), signed, now)?;
    upstream.flat = what.config.flat.is_some();
    identity(what, previous, signed)?;
    let architectures = if what.config.flat.is_some() {
        what.config.architectures.clone()
    } else {
        components(what, signed)?;
        architectures(&what.config.architectures, &listed_architectures(what, signed)?)
    };
    let plan = plan(
        signed.release.entries(),
        wanted(what.config, &architectures, signed.release),
    );
    check_plan(signed.suite, &plan)?;
    if plan.files.is_empty() {
        let wanted = what.config.architectures.iter().map(Architecture::as_str);
        let wanted = wanted.collect::<Vec<_>>().join(" ");
        let listed = signed.release.field("Architectures");
        return Err(not_offered(signed.suite, "index for", &wanted, listed));
    }
    let fields = release_fields(signed.release, signed.suite, upstream.flat);
    if let Some((field, _)) = fields.iter().find(|(_, value)| !is_plain(value)) {
        return Err(UpstreamError::Field {
            suite: signed.suite.clone(),
            field: field.clone(),
        });
    }
    let state = SuiteState {
        suite: signed.suite.clone(),
        // Not ours to say: the snapshot gives it.
        date: now,
        fields,
        architectures,
        components: what.config.components.clone(),
        indexes: plan.files.iter().map(super::Planned::index).collect(),
        upstream: Some(upstream),
        custom: None,
    };
    Ok((state, plan))
}

fn wanted<'a>(config: &'a MirrorArchive, architectures: &'a [Architecture], release: &Release) -> Wanted<'a> {
    Wanted {
        components: &config.components,
        architectures,
        languages: &config.languages,
        sources: config.sources && (config.flat.is_none() || has_sources(release)),
        indexes: &config.indexes,
    }
}

/// What the site asks for of a suite, upstream's Release lists, and the suite does not have. Of packages that were
/// selected nothing is missing; the uncompressed form of what is there compressed exists on few servers; and no client
/// reads the Release of one folder.
#[must_use]
pub fn lacking(config: &MirrorArchive, release: &Release, state: &SuiteState) -> Vec<RelPath> {
    if config.flat.is_some() {
        return Vec::new();
    }
    let selected = state
        .upstream
        .as_ref()
        .is_some_and(|upstream| !upstream.indexes.is_empty());
    let has = |file: &Planned| {
        let is_packages = || ["Packages", "Sources"].contains(&file.plain_name());
        state.indexes.iter().any(|index| index.path == file.path) || (selected && is_packages())
    };
    let plan = plan(release.entries(), wanted(config, &config.architectures, release));
    let lacking = plan.files.into_iter().filter(|file| file.is_a_loss() && !has(file));
    lacking.map(|file| file.path).collect()
}

/// Few flat repositories have sources, and one that has none is no less whole.
fn has_sources(release: &Release) -> bool {
    let mut paths = release.entries().keys();
    paths.any(|path| path.folder().ends_with("/source/"))
}

fn freshness(
    what: &Follow<'_>,
    previous: Option<&SuiteState>,
    signed: &Signed<'_>,
    now: Timestamp,
) -> Result<UpstreamRelease, UpstreamError> {
    let suite = signed.suite;
    let date = signed.release.date().map_err(in_release(suite))?;
    let valid_until = signed.release.valid_until().map_err(in_release(suite))?;
    if date > now.plus(CLOCKS_DIFFER) {
        let suite = suite.clone();
        return Err(UpstreamError::Future { suite, date, now });
    }
    if let Some(accepted) = previous.and_then(|state| state.upstream.as_ref()) {
        if date < accepted.date {
            return Err(UpstreamError::Rollback {
                suite: suite.clone(),
                found: date,
                accepted: accepted.date,
            });
        }
        if date == accepted.date && is_another(previous, accepted, signed) {
            let suite = suite.clone();
            return Err(UpstreamError::Equivocation { suite, date });
        }
    }
    if let Some(valid_until) = valid_until.filter(|until| *until <= now) {
        return Err(UpstreamError::Expired {
            suite: suite.clone(),
            date,
            valid_until,
        });
    }
    let max_age_days = what.config.max_age_days;
    if let Some(days) = max_age_days.filter(|_| is_too_old(date, max_age_days, now)) {
        let suite = suite.clone();
        return Err(UpstreamError::TooOld { suite, date, days });
    }
    Ok(UpstreamRelease {
        inrelease: signed.inrelease,
        release_gpg: signed.release_gpg,
        flat: false,
        date,
        valid_until,
        signers: signed.signers.clone(),
        verified_at: now,
        uri: what.client.base_uri().to_owned(),
        indexes: Vec::new(),
        selection: None,
        filled: false,
        absent: Vec::new(),
    })
}

/// Whether this Release is another than the accepted one. Its two forms are different files: of those
/// it is compared what they say. Of one form the signed texts are held against each other, which takes the store.
fn is_another(previous: Option<&SuiteState>, accepted: &UpstreamRelease, signed: &Signed<'_>) -> bool {
    if accepted.release_gpg.is_some() == signed.release_gpg.is_some() {
        return false;
    }
    let entries = signed.release.entries();
    let differs = |index: &IndexFile| {
        entries
            .get(&index.path)
            .is_some_and(|found| found.digest != index.digest)
    };
    previous.is_some_and(|state| state.indexes.iter().any(differs))
}

fn identity(what: &Follow<'_>, previous: Option<&SuiteState>, signed: &Signed<'_>) -> Result<(), UpstreamError> {
    let must = |field, expected: &str| {
        let found = signed.release.field(field);
        if found.unwrap_or_default() == expected {
            return Ok(());
        }
        Err(mismatch(signed.suite, field, found, expected))
    };
    must("Origin", &what.config.origin)?;
    must("Label", &what.config.label)?;
    if what.config.flat.is_some() {
        // Its suite is a name of ours; what it calls itself is held against the Release before.
        return Ok(());
    }
    // As apt: `tin/updates` may call itself `tin`.
    let suite = signed.suite.as_str();
    if !is_of_suite(signed.release, signed.suite) {
        must("Codename", suite)?;
    }
    let Some(previous) = previous.filter(|_| !what.allow_release_info_change) else {
        return Ok(());
    };
    let before = |field: &str| {
        let mut fields = previous.fields.iter();
        fields.find(|(name, _)| name == field).map(|(_, value)| value.as_str())
    };
    same_names(signed.suite, before, signed.release)
}

/// Whether a Release calls itself by the Suite and Codename that it had before.
pub(super) fn same_names<'a>(
    suite: &SuiteName,
    before: impl Fn(&str) -> Option<&'a str>,
    found: &Release,
) -> Result<(), UpstreamError> {
    for field in ["Suite", "Codename"] {
        let (before, found) = (before(field), found.field(field));
        if found != before {
            return Err(mismatch(suite, field, found, before.unwrap_or("-")));
        }
    }
    Ok(())
}

/// Whether a Release is that of the suite: by its Suite or its Codename, or by the first part of a name with a slash.
#[must_use]
pub fn is_of_suite(release: &Release, suite: &SuiteName) -> bool {
    let parent = suite.as_str().rsplit_once('/').map(|(parent, _)| parent);
    ["Suite", "Codename"].into_iter().any(|field| {
        let found = release.field(field);
        found == Some(suite.as_str()) || (parent.is_some() && found == parent)
    })
}

fn mismatch(suite: &SuiteName, field: &'static str, found: Option<&str>, expected: &str) -> UpstreamError {
    UpstreamError::Identity {
        suite: suite.clone(),
        field,
        found: escape(found.unwrap_or("-")),
        expected: escape(expected),
    }
}

fn not_offered(suite: &SuiteName, what: &'static str, wanted: &str, listed: Option<&str>) -> UpstreamError {
    UpstreamError::NotOffered {
        suite: suite.clone(),
        what,
        wanted: wanted.to_owned(),
        listed: listed.map_or_else(|| "none".to_owned(), |listed| format!("`{}`", escape(listed))),
    }
}

fn listed_architectures(what: &Follow<'_>, signed: &Signed<'_>) -> Result<Vec<Architecture>, UpstreamError> {
    let field = signed.release.field("Architectures");
    // What is no architecture can be none that is wanted.
    let listed: Vec<Architecture> = signed
        .release
        .words("Architectures")
        .filter_map(|word| word.parse().ok())
        .collect();
    let missing = |wanted: &&Architecture| !wanted.is_all() && !listed.contains(wanted);
    match what.config.architectures.iter().find(missing) {
        Some(wanted) => Err(not_offered(signed.suite, "architecture", wanted.as_str(), field)),
        None => Ok(listed),
    }
}

fn components(what: &Follow<'_>, signed: &Signed<'_>) -> Result<(), UpstreamError> {
    let field = signed.release.field("Components");
    // Debian's security suites list `updates/main` and keep it in `main`.
    let is = |word: &str, wanted: &Component| {
        word.strip_suffix(wanted.as_str())
            .is_some_and(|front| front.is_empty() || front.ends_with('/'))
    };
    let missing = |wanted: &&Component| !signed.release.words("Components").any(|word| is(word, wanted));
    match what.config.components.iter().find(missing) {
        Some(wanted) => Err(not_offered(signed.suite, "component", wanted.as_str(), field)),
        None => Ok(()),
    }
}

fn check_plan(suite: &SuiteName, plan: &Plan) -> Result<(), UpstreamError> {
    let suite = || suite.clone();
    if let Some(path) = plan.missing.first() {
        return Err(UpstreamError::NotListed {
            suite: suite(),
            path: path.clone(),
        });
    }
    let names_packages = |file: &&super::Planned| {
        let plain = super::plan::uncompressed_name(&file.path);
        matches!(plain.rsplit('/').next(), Some("Packages" | "Sources")) && plain != file.path.as_str()
    };
    let mut packages = plan.files.iter().filter(names_packages);
    if let Some(file) = packages.find(|file| file.uncompressed.is_none()) {
        return Err(UpstreamError::OnlyCompressed {
            suite: suite(),
            path: file.path.clone(),
        });
    }
    if plan.size() > LARGEST {
        return Err(UpstreamError::TooLarge {
            suite: suite(),
            size: plan.size(),
            limit: LARGEST,
        });
    }
    Ok(())
}

/// What our Release says of a suite, out of upstream's: names stay as they are. A description, which no client compares,
/// becomes one line, as long as fits.
#[must_use]
pub fn release_fields(release: &Release, suite: &SuiteName, flat: bool) -> Vec<(String, String)> {
    let value = |name: &str| match name {
        // apt compares it with what it asked for.
        "Codename" if flat => Some((name.to_owned(), suite.to_string())),
        "Suite" if flat => None,
        "Description" => {
            let theirs = release.field(name)?;
            let value = if is_plain(theirs) {
                theirs.to_owned()
            } else {
                one_line(theirs)
            };
            (!value.is_empty()).then(|| (name.to_owned(), value))
        }
        _ => {
            let value = release.field(name).filter(|value| !value.is_empty());
            value.map(|value| (name.to_owned(), value.to_owned()))
        }
    };
    FIELDS.into_iter().filter_map(value).collect()
}

/// The words of a text on one line, without control characters, cut where the value of a field ends.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        let space = if line.is_empty() { "" } else { " " };
        if line.len() + space.len() + word.len() > LONGEST_VALUE {
            break;
        }
        line.push_str(space);
        line.push_str(word);
    }
    line
}

/// An error of a Release file's text.
pub(super) fn in_release(suite: &SuiteName) -> impl FnOnce(FormatError) -> UpstreamError {
    let url = format!("dists/{suite}/Release");
    move |source| UpstreamError::Format { url, source }
}
