//! Tests of `source`, with the real git, gpg, ssh-keygen and dpkg-source.

mod checkout;
mod clones;
mod derive;
mod hostile;
mod maker;
mod orig;
mod signed;
mod transports;
