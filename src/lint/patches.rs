//! What apt can do with the patches (pdiffs) of an index. Whatever is wrong with them, it fetches the whole index: nothing is
//! lost but what they are there for.

use super::finding::{Findings, Outcome};
use super::index::{differs, fetched};
use super::judge::{Judging, Measured, Object};
use super::release::Release;
use super::targets::{COMPRESSIONS, Target};
use crate::format::pdiff::PdiffIndex;

/// Says what keeps clients from using the patches of an index that the Release lists.
pub(super) fn patches(judging: &mut Judging<'_>, findings: &mut Findings, release: &Release<'_>, target: &Target) {
    let path = format!("{}.diff/Index", target.key);
    let Some(entry) = release.entries.get(&path) else {
        return;
    };
    let at = judging.dists(&path);
    let by_hash = release.is("Acquire-By-Hash");
    let Some(found) = fetched(judging, &mut Findings::unsaid(findings.apt), &path, entry, by_hash) else {
        return;
    };
    let read = match &found {
        None => Err("it is not there".to_owned()),
        Some((_, Object::Bytes(bytes))) => match differs(bytes, entry) {
            Some(why) => Err(why),
            None => PdiffIndex::parse(bytes).map_err(|error| error.to_string()),
        },
        Some(_) => Err(format!(
            "it is larger than {} bytes, which the Release says",
            entry.size
        )),
    };
    let mut useless = |why: String| {
        let why = format!("{why}: clients fetch all of `{}`", target.key);
        findings.add(Outcome::Accept, "L-PDIFF", &at, why);
    };
    let index = match read {
        Ok(index) => index,
        Err(why) => return useless(why),
    };
    if index.patches.is_empty() {
        return useless("no patch is in its SHA256-History, SHA256-Patches and SHA256-Download".to_owned());
    }
    let forms = COMPRESSIONS.iter().filter(|compression| !compression.is_empty());
    let listed = forms.filter_map(|compression| release.entries.get(&format!("{}{compression}", target.key)));
    let whole = listed.map(|entry| entry.size).min().unwrap_or(index.current.size);
    let helpful = index.helpful(whole, |_| true).len();
    if helpful < index.patches.len() {
        let count = index.patches.len() - helpful;
        useless(format!(
            "{count} of its patches are more to fetch than the index, of {whole} bytes"
        ));
    }
    let folder = judging.dists(&format!("{}.diff", target.key));
    for patch in index.patches.iter().filter(|_| judging.question.files) {
        let wrong = match judging.measure(&format!("{folder}/{}", patch.file)) {
            Some(Measured::Absent) => "is not there under its own name",
            Some(Measured::Is(digest)) if digest != patch.download => "is not what it lists",
            _ => continue,
        };
        let why = format!("`{}` {wrong}: clients fetch all of `{}`", patch.file, target.key);
        findings.add(Outcome::Accept, "L-PDIFF", &at, why);
    }
}
