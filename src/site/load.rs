//! placeholder
/// A
#[derive(Debug)]
pub struct Site;
/// B
#[derive(Debug)]
pub struct SiteError;
