//! What the newest snapshot says of an archive is what the site declares: an archive's key alone gives it no
//! other name, shape or life. Snapshots before it keep what was declared then.

use super::editions::History;
use super::{Anchor, AnchorKind, Problem, Report};
use crate::domain::escape;
use crate::publish::suite_fields;
use crate::site::{MirrorArchive, OwnArchive, OwnKind};
use crate::snapshot::{Entry as _, SuiteState};

pub(super) fn check(anchor: &Anchor, history: &History, report: &mut Report) {
    let Some(record) = history.chain.latest() else {
        return;
    };
    let valid_days = match &anchor.kind {
        AnchorKind::Mirror { config, .. } => config.valid_days,
        AnchorKind::Custom { config, .. } => config.valid_days,
        AnchorKind::Unproven { config } => config.valid_days,
    };
    if record.valid_days != Some(valid_days) {
        let found = record.valid_days.map_or("no".to_owned(), |days| days.to_string());
        let why = format!("it was made to be valid for {found} days, and the site says {valid_days}");
        report.problem(Problem::RELEASE, record.key(), why);
    }
    check_names(anchor, history, report);
}

/// That the newest snapshot is of the archive that the site means: one upstream key may sign several.
pub(super) fn check_names(anchor: &Anchor, history: &History, report: &mut Report) {
    let Some(record) = history.chain.latest() else {
        return;
    };
    let differs = |state: &SuiteState| match &anchor.kind {
        AnchorKind::Mirror { config, .. } => mirrored(config, state),
        AnchorKind::Custom { config, .. } => own(config, state),
        AnchorKind::Unproven { config } => own(config, state),
    };
    for state in &record.suites {
        if let Some(why) = differs(state) {
            let why = format!("`{}` is not as the site declares it: {why}", state.suite);
            report.problem(Problem::RELEASE, record.key(), why);
        }
    }
}

/// How a suite differs from what the site says of an archive of ours.
fn own<K: OwnKind>(config: &OwnArchive<K>, state: &SuiteState) -> Option<String> {
    if let Some(why) = first_difference(&state.fields, &suite_fields(config, &state.suite)) {
        return Some(why);
    }
    if state.components != config.components {
        return Some("its components are others".to_owned());
    }
    if *state.overrides() != config.overrides {
        return Some("it overrides other sections and priorities".to_owned());
    }
    (state.architectures != config.release_architectures()).then(|| "its architectures are others".to_owned())
}

/// How a suite differs from what the site says of a mirror; the rest is upstream's to say.
fn mirrored(config: &MirrorArchive, state: &SuiteState) -> Option<String> {
    let declared = [("Origin", &config.origin), ("Label", &config.label)];
    declared.into_iter().find_map(|(name, wanted)| {
        let found = state.fields.iter().find(|(field, _)| field == name);
        let found = found.map_or("", |(_, value)| value.as_str());
        (found != wanted).then(|| format!("{name} is `{}`, and not `{wanted}`", escape(found)))
    })
}

fn first_difference(found: &[(String, String)], declared: &[(String, String)]) -> Option<String> {
    let said = |fields: &[(String, String)], name: &str| {
        let value = fields.iter().find(|(field, _)| field == name);
        value.map_or("absent".to_owned(), |(_, value)| format!("`{}`", escape(value)))
    };
    if found == declared {
        return None;
    }
    let other = found.iter().chain(declared).map(|(name, _)| name.as_str());
    let other = other.clone().find(|name| said(found, name) != said(declared, name));
    Some(match other {
        Some(name) => format!(
            "{} is {}, and not {}",
            escape(name),
            said(found, name),
            said(declared, name)
        ),
        None => "its fields come in another order".to_owned(),
    })
}
