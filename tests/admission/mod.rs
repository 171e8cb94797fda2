//! The gate: each rule has a test that fails without it, and properties that hold for any evidence.

mod again;
mod attacks;
mod brought;
mod flow;
pub(crate) mod imports;
mod incoming;
mod policy;
mod locked;
mod owners;
mod properties;
mod release;
mod relocked;
mod recall;
mod registry;
mod rules;
mod rules_packages;
pub(crate) mod scenario;
pub(crate) mod site;
