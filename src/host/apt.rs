//! What the machine's own apt is configured with: the mirror's address is read here at run time.

use super::{HostError, Program};

/// One suite that the machine's apt follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// Base URL, with its trailing slash.
    pub uri: String,
    /// `Origin` of its Release file.
    pub origin: String,
    /// `Label` of its Release file.
    pub label: String,
    /// `Codename` of its Release file.
    pub codename: String,
    /// `Suite` of its Release file.
    pub suite: String,
}

/// The suites that the machine's apt follows and has fetched.
///
/// # Errors
/// When apt-get cannot be run.
pub fn apt_sources() -> Result<Vec<AptSource>, HostError> {
    let format = "$(REPO_URI)\t$(ORIGIN)\t$(LABEL)\t$(CODENAME)\t$(SUITE)";
    let output = Program::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .run()?;
    let mut sources: Vec<AptSource> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut fields = line.split('\t').map(str::to_owned);
        let mut next = || fields.next().unwrap_or_default();
        let source = AptSource {
            uri: next(),
            origin: next(),
            label: next(),
            codename: next(),
            suite: next(),
        };
        if !source.uri.is_empty() && !sources.contains(&source) {
            sources.push(source);
        }
    }
    Ok(sources)
}
