//! What the tests share.

pub(crate) mod apt;
pub(crate) mod archive;
pub(crate) mod debs;
pub(crate) mod disk;
pub(crate) mod faulty;
pub(crate) mod http;
pub(crate) mod mirrored;
pub(crate) mod next;
pub(crate) mod packages;
pub(crate) mod repository;
pub(crate) mod s3;
pub(crate) mod service;
pub(crate) mod web;
pub(crate) mod dpkg_perl;
