//! `debian/control` of a source package (Debian Policy §5.2): one source paragraph, then one for each
//! binary package. Substitution variables stay as they are.

use crate::domain::{PackageName, escape};

use super::FormatError;
use super::checksums::value;
use super::deb822::{Paragraph, paragraphs_with_comments};
use super::relation::Relations;

const WHAT: &str = "debian/control";

/// A `debian/control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceControl {
    /// The source package.
    pub name: PackageName,
    /// Its paragraph.
    pub source: Paragraph,
    /// The binary packages, in their order; names are unique.
    pub binaries: Vec<BinaryControl>,
}

/// The paragraph of one binary package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryControl {
    /// Its name.
    pub name: PackageName,
    /// `Architecture`: `any`, `all`, or architectures and wildcards.
    pub architectures: Vec<String>,
    /// `udeb` when the field `Package-Type` (or `XC-Package-Type`) says so, `deb` otherwise.
    pub package_type: String,
    /// All its fields.
    pub paragraph: Paragraph,
}

impl SourceControl {
    /// Reads a `debian/control`. Lines that start with `#` are comments.
    ///
    /// # Errors
    /// When it is not strictly deb822, has no source paragraph first, no binary package, or one twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut all = paragraphs_with_comments(WHAT, bytes)?.into_iter();
        let bad = |at: &str, why: String| FormatError::malformed(WHAT, at, why);
        let source = all.next().unwrap_or_default();
        let name = value(WHAT, "Source", source.require(WHAT, "Source")?)?;
        let mut binaries: Vec<BinaryControl> = Vec::new();
        for paragraph in all {
            let binary = BinaryControl::read(paragraph)?;
            if binaries.iter().any(|other| other.name == binary.name) {
                return Err(bad("Package", format!("`{}` is there twice", binary.name)));
            }
            binaries.push(binary);
        }
        if binaries.is_empty() {
            return Err(bad("the end", "there is no binary package".to_owned()));
        }
        Ok(Self { name, source, binaries })
    }

    /// A field of the source paragraph that holds relations, such as `Build-Depends`; none when absent.
    ///
    /// # Errors
    /// When a part of it is not understood.
    pub fn relations(&self, field: &'static str) -> Result<Relations, FormatError> {
        Relations::parse(field, self.source.get(field).unwrap_or_default())
    }
}

impl BinaryControl {
    fn read(paragraph: Paragraph) -> Result<Self, FormatError> {
        let name = value(WHAT, "Package", paragraph.require(WHAT, "Package")?)?;
        let architectures: Vec<String> = paragraph
            .require(WHAT, "Architecture")?
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect();
        if architectures.is_empty() {
            return Err(FormatError::malformed(
                WHAT,
                "Architecture",
                format!("`{name}` has none"),
            ));
        }
        let package_type = paragraph
            .get("Package-Type")
            .or_else(|| paragraph.get("XC-Package-Type"))
            .unwrap_or("deb");
        if !matches!(package_type, "deb" | "udeb") {
            let why = format!("`{}` is not `deb` or `udeb`", escape(package_type));
            return Err(FormatError::malformed(WHAT, "Package-Type", why));
        }
        Ok(Self {
            name,
            architectures,
            package_type: package_type.to_owned(),
            paragraph,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "# a comment\nSource: hello\nBuild-Depends: debhelper-compat (= 13),\n# another\n libfoo-dev <!nocheck>,\n\n\
        # before\n\nPackage: hello\nArchitecture: any\nDepends: ${shlibs:Depends}\nDescription: x\n y\n";

    #[test]
    fn comments_are_passed_over_here_alone() -> Result<(), FormatError> {
        let control = SourceControl::parse(HELLO.as_bytes())?;
        assert_eq!(control.name.as_str(), "hello");
        assert_eq!(
            control.relations("Build-Depends")?.to_string(),
            "debhelper-compat (= 13), libfoo-dev <!nocheck>"
        );
        assert_eq!(
            control.binaries.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(),
            ["hello"]
        );
        assert!(super::super::deb822::paragraphs("deb822", HELLO.as_bytes()).is_err());
        Ok(())
    }

    #[test]
    fn a_control_file_without_its_parts_is_refused() {
        for bad in [
            "",
            "Source: hello\n",
            "Package: hello\nArchitecture: any\n",
            "Source: hello\n\nPackage: hello\n",
            "Source: hello\n\nPackage: hello\nArchitecture: any\n\nPackage: hello\nArchitecture: all\n",
            "Source: hello\n\nPackage: hello\nArchitecture: any\nPackage-Type: rpm\n",
        ] {
            assert!(SourceControl::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
