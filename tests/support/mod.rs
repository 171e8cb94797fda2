//! What the tests share.

pub(crate) mod apt;
pub(crate) mod debs;
pub(crate) mod repository;
pub(crate) mod web;
pub(crate) mod dpkg_perl;
