//! Translation-en of a custom suite: where its site asks for it, Packages has short descriptions, and this the whole ones.
//! All come from the indexes before and from what is admitted: no package is opened for it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::GateError;
use super::forms::{Was, stage_forms};
use super::stage::Texts;
use crate::domain::{ArchiveName, Component, RelPath, SuiteName};
use crate::index::{Descriptions, index_path, translation_path};
use crate::site::IndexForm;
use crate::snapshot::{IndexFile, SuiteState, kept_index, read_plain_index};
use crate::store::Store;

/// Whether a suite has Translation-en indexes.
pub(super) fn has_translations(state: &SuiteState) -> bool {
    let mut indexes = state.indexes.iter();
    indexes.any(|index| index.path.file_name().starts_with("Translation-"))
}

/// The descriptions of a suite, and where they are to be.
#[derive(Debug)]
pub(super) struct Translations {
    wanted: bool,
    /// The suite's Packages are as they are to be.
    same: bool,
    before: BTreeMap<Component, Vec<u8>>,
    descriptions: BTreeMap<Component, Descriptions>,
}

impl Translations {
    /// Those that a suite had; `wanted` says whether it is to have any.
    ///
    /// # Errors
    /// When one is missing, damaged or malformed.
    pub(super) fn read(
        store: &dyn Store,
        archive: &ArchiveName,
        before: Option<&SuiteState>,
        wanted: bool,
    ) -> Result<Self, GateError> {
        let mut this = Self {
            wanted,
            same: before.is_some_and(|state| has_translations(state) == wanted),
            before: BTreeMap::new(),
            descriptions: BTreeMap::new(),
        };
        let Some(state) = before else {
            return Ok(this);
        };
        for component in &state.components {
            let Some(index) = kept_index(state, &translation_path(component)) else {
                continue;
            };
            let text = read_plain_index(store, archive, &state.suite, index)?;
            this.of(component).add_index(&text)?;
            this.before.insert(component.clone(), text);
        }
        Ok(this)
    }

    fn of(&mut self, component: &Component) -> &mut Descriptions {
        self.descriptions.entry(component.clone()).or_default()
    }

    /// The texts of the suite before, with descriptions as they are to be. Of those that something else changed some stanzas
    /// may have theirs whole, and others not.
    ///
    /// # Errors
    /// When one is malformed, or names a description that is nowhere.
    pub(super) fn shaped<'t>(&mut self, texts: Cow<'t, Texts>) -> Result<Cow<'t, Texts>, GateError> {
        if self.same && matches!(texts, Cow::Borrowed(_)) {
            return Ok(texts);
        }
        let mut shaped = texts.into_owned();
        for (path, (component, text)) in &mut shaped {
            if path.file_name() == "Packages" {
                *text = self.packages(component, std::mem::take(text).into())?.into_owned();
            }
        }
        Ok(Cow::Owned(shaped))
    }

    /// A Packages text of this component, with descriptions as they are to be.
    ///
    /// # Errors
    /// When it is malformed, or names a description that is nowhere.
    pub(super) fn packages<'p>(
        &mut self,
        component: &Component,
        packages: Cow<'p, [u8]>,
    ) -> Result<Cow<'p, [u8]>, GateError> {
        if self.wanted {
            return Ok(self.of(component).take(&packages)?.into());
        }
        match self.descriptions.get(component) {
            Some(known) => Ok(known.put_back(&packages)?.into()),
            None => Ok(packages),
        }
    }

    /// Stages the Translation-en of each component, for the Packages among its new indexes.
    ///
    /// # Errors
    /// When a compressor has no memory; the store's failure.
    pub(super) fn stage(
        &self,
        store: &dyn Store,
        place: (&ArchiveName, &SuiteName),
        (components, forms): (&[Component], &BTreeSet<IndexForm>),
        before: Option<&SuiteState>,
        indexes: &[(RelPath, impl AsRef<[u8]>)],
    ) -> Result<Vec<IndexFile>, GateError> {
        let mut staged = Vec::new();
        for component in components.iter().filter(|_| self.wanted) {
            let text = self.index(component, indexes)?;
            let was = before.zip(self.before.get(component));
            let was = was.map(|(state, text)| Was {
                state,
                text,
                milestones: None,
            });
            let path = index_path(translation_path(component))?;
            staged.extend(stage_forms(store, place, (path, &text), forms, was)?);
        }
        Ok(staged)
    }

    fn index(&self, component: &Component, indexes: &[(RelPath, impl AsRef<[u8]>)]) -> Result<Vec<u8>, GateError> {
        let Some(known) = self.descriptions.get(component) else {
            return Ok(Vec::new());
        };
        let folder = format!("{component}/binary-");
        let packages = indexes.iter().filter(|(path, _)| path.as_str().starts_with(&folder));
        Ok(known.index_of(packages.map(|(_, text)| text.as_ref()))?)
    }
}
