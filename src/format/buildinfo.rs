//! `.buildinfo` files (deb-buildinfo(5)): what a build made, and with what. The frame of a signature
//! is not unwrapped here.

use crate::domain::{Architecture, Digest, FileName, PackageName, Timestamp, Version, escape};

use super::FormatError;
use super::checksums::value;
use super::deb822::{Paragraph, paragraph};
use super::dsc::{files_of, names};
use super::packages::source_of;
use super::relation::{Operator, Relation, Relations};

const WHAT: &str = ".buildinfo";

/// A `.buildinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buildinfo {
    /// The source package.
    pub source: PackageName,
    /// The version of the source package.
    pub source_version: Version,
    /// The version of the binary packages.
    pub version: Version,
    /// What was built, with `source` for the source package.
    pub architectures: Vec<Architecture>,
    /// The binary packages.
    pub binaries: Vec<PackageName>,
    /// What the build made.
    pub files: Vec<(FileName, Digest)>,
    /// The architecture that the build ran on.
    pub build_architecture: Architecture,
    /// Where it ran, when it says so.
    pub build_path: Option<String>,
    /// When it ended, when it says so.
    pub build_date: Option<Timestamp>,
    /// The packages that were installed.
    pub installed: Vec<Installed>,
    /// The environment of the build: name and value.
    pub environment: Vec<(String, String)>,
    /// All its fields.
    pub paragraph: Paragraph,
}

/// A package that was installed during the build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its name.
    pub package: PackageName,
    /// Its architecture, when that is not the build's own.
    pub architecture: Option<Architecture>,
    /// Its version.
    pub version: Version,
}

impl Buildinfo {
    /// Reads the text of a `.buildinfo`.
    ///
    /// # Errors
    /// When it is not one strict paragraph, or a field is missing or malformed.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let paragraph = paragraph(WHAT, text)?;
        let field = |name| paragraph.require(WHAT, name);
        let version: Version = value(WHAT, "Version", field("Version")?)?;
        let (source, source_version) = source_of(WHAT, field("Source")?, &version)?;
        let architectures = field("Architecture")?.split_ascii_whitespace();
        Ok(Self {
            architectures: architectures
                .map(|word| value(WHAT, "Architecture", word))
                .collect::<Result<_, _>>()?,
            binaries: names(WHAT, "Binary", paragraph.get("Binary").unwrap_or_default())?,
            files: files_of(WHAT, &paragraph, 3)?,
            build_architecture: value(WHAT, "Build-Architecture", field("Build-Architecture")?)?,
            build_path: paragraph.get("Build-Path").map(str::to_owned),
            build_date: paragraph.get("Build-Date").map(build_date).transpose()?,
            installed: installed(field("Installed-Build-Depends")?)?,
            environment: environment(paragraph.get("Environment").unwrap_or_default())?,
            source,
            source_version,
            version,
            paragraph,
        })
    }
}

fn build_date(text: &str) -> Result<Timestamp, FormatError> {
    Timestamp::parse_rfc2822(text).map_err(|source| FormatError::Value {
        what: format!("{WHAT}: Build-Date"),
        source,
    })
}

/// `name (= version)` or `name:arch (= version)`, and nothing else.
fn installed(text: &str) -> Result<Vec<Installed>, FormatError> {
    const FIELD: &str = "Installed-Build-Depends";
    let read = |group: &[Relation]| {
        let [one] = group else { return None };
        let (Operator::Equal, version) = one.constraint.as_ref()? else {
            return None;
        };
        let plain = one.architectures.is_none() && one.profiles.is_empty();
        plain.then(|| Installed {
            package: one.package.clone(),
            architecture: one.qualifier.clone(),
            version: version.clone(),
        })
    };
    let groups = Relations::parse(FIELD, text)?.0;
    let each = groups.iter().map(|group| {
        read(group).ok_or_else(|| {
            let text = Relations(vec![group.clone()]).to_string();
            let why = format!("`{}` is not like `name (= version)`", escape(&text));
            FormatError::malformed(WHAT, FIELD, why)
        })
    });
    each.collect()
}

/// `NAME="value"` on each line; dpkg writes `\"` for a quote.
fn environment(text: &str) -> Result<Vec<(String, String)>, FormatError> {
    let read = |line: &str| {
        let (name, quoted) = line.split_once("=\"")?;
        let value = quoted.strip_suffix('"')?;
        Some((name.to_owned(), value.replace("\\\"", "\"")))
    };
    let lines = text.split('\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            read(line).ok_or_else(|| {
                let why = format!("`{}` is not like `NAME=\"value\"`", escape(line));
                FormatError::malformed(WHAT, "Environment", why)
            })
        })
        .collect()
}
