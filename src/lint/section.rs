//! deb822 as apt reads it (`pkgTagSection`): nothing is too odd but a last line without a colon.

/// One section of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section<'a> {
    fields: Vec<(&'a str, &'a str)>,
    /// Its first line, counted from 1.
    pub(super) line: usize,
}

impl<'a> Section<'a> {
    /// The value of a field, without blanks around it. Of one that is there twice, the last.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self
            .fields
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The same; nothing when it is empty.
    pub(super) fn filled(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The words of a field.
    pub(super) fn words(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.get(name).unwrap_or_default().split_ascii_whitespace()
    }
}

/// The sections of a file, each ended by an empty line. After one that apt cannot read, given by its first
/// line, nothing comes.
pub(super) fn sections(text: &str) -> Sections<'_> {
    Sections { rest: text, line: 1 }
}

#[derive(Debug)]
pub(super) struct Sections<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let empty = self.rest.len() - self.rest.trim_start_matches(['\n', '\r']).len();
        let (skipped, rest) = self.rest.split_at_checked(empty)?;
        self.line += skipped.matches('\n').count();
        if rest.is_empty() {
            return None;
        }
        let (section, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
        let line = self.line;
        self.line += section.matches('\n').count() + 2;
        self.rest = after;
        let Some(fields) = fields(section) else {
            self.rest = "";
            return Some(Err(line));
        };
        Some(Ok(Section { fields, line }))
    }
}

fn fields(section: &str) -> Option<Vec<(&str, &str)>> {
    let mut fields = Vec::new();
    let mut rest = section;
    while !rest.is_empty() {
        if rest.starts_with([' ', '\t', '\r', '\n']) {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        // A line without a colon lends its name to the field of the next: apt looks for the colon only.
        let (name, after) = rest.split_once(':')?;
        let mut end = 0;
        for line in after.split_inclusive('\n') {
            if end > 0 && !line.starts_with([' ', '\t']) {
                break;
            }
            end += line.len();
        }
        let (value, next) = after.split_at_checked(end)?;
        fields.push((name.trim_end(), value));
        rest = next;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_apt_reads() {
        let text = "\nA: 1\nB:\n x\n y\nA: 2\n\n\nC : 3\nodd\nD: 4";
        let read: Vec<_> = sections(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].line, read[1].line), (2, 9));
        assert_eq!(read[0].get("a"), Some("2"), "the last counts");
        assert_eq!(read[0].words("B").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(read[1].get("C"), Some("3"));
        assert_eq!(read[1].get("D"), None, "its name has a line too many");
        let broken: Vec<_> = sections("A: 1\n\nno colon\n\nB: 2\n").collect();
        assert_eq!(broken[1..], [Err(3)]);
    }
}
