//! deb822: the paragraphs of control data (deb822(5), Debian Policy §5.1), read strictly and written
//! in one form only.
//!
//! What apt, dpkg and other readers take in different ways is refused: blank-only lines, carriage
//! returns, control characters, duplicate fields, lines without a colon, text that is not UTF-8, a
//! missing newline at the end. What is left, every reader reads alike.

mod paragraph;
mod scan;

pub use paragraph::{Paragraph, paragraph, paragraphs, paragraphs_with_comments};
pub use scan::{Stanza, Stanzas, blocks};

/// The most bytes that [`paragraphs`] reads.
pub const LARGEST: usize = 16 << 20;
/// The most bytes of one stanza.
pub const LARGEST_STANZA: usize = 8 << 20;
/// The most fields of one paragraph.
pub const MOST_FIELDS: usize = 256;
/// The most paragraphs that [`paragraphs`] reads.
pub const MOST_PARAGRAPHS: usize = 20_000;

/// Whether `name` may be the name of a field (deb822(5)): printable ASCII but `:`, not starting
/// with `#` or `-`.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with(['#', '-'])
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// Whether text has a character that no reader should see in control data: C0 but tab and
/// newline, DEL, and C1, some of which are line ends to some readers.
fn has_control_character(text: &str) -> bool {
    let bytes = text.as_bytes();
    let odd = bytes.iter().fold(false, |odd, &b| {
        odd | ((b < 0x20) & (b != b'\n') & (b != b'\t')) | (b == 0x7f)
    });
    odd || (!text.is_ascii() && text.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::FormatError;

    const GOOD: &str =
        "Package: hello\nVersion: 1.0-1\nDescription: short  \n long é\n .\n\t tabbed\n\n\nX:\nY:\n one\n";

    #[test]
    fn values_keep_all_but_the_blanks_that_frame_them() -> Result<(), FormatError> {
        let all = paragraphs("deb822", GOOD.as_bytes())?;
        let [first, second] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert_eq!(first.get("PACKAGE"), Some("hello"));
        assert_eq!(first.get("Description"), Some("short\nlong é\n.\n tabbed"));
        assert_eq!(second.fields().collect::<Vec<_>>(), [("X", ""), ("Y", "\none")]);
        assert_eq!(second.to_bytes(), b"X:\nY:\n one\n");
        Ok(())
    }

    #[test]
    fn what_readers_take_in_different_ways_is_refused_with_its_line() {
        let bad: &[(&[u8], usize)] = &[
            (b"A: 1\n \nB: 2\n", 2),
            (b"A: 1\n\t \n", 2),
            (b"A: 1\n\t", 2),
            (b"A: 1\n\n \nB: 2\n", 3),
            (b"A: 1\r\nB: 2\n", 1),
            (b"A: 1\nB: \x00\n", 2),
            (b"A: 1\nB: \x0c2\n", 2),
            (b"A: 1\nB: \x7f\n", 2),
            (b"A: 1\n\nB: x\nC: \xc2\x85\n", 4),
            (b"A: 1\nB: \xff\n", 2),
            (b"A: 1\n\n\nB: 2\nb: 3\n", 5),
            (b"A: 1\nB\n", 2),
            (b" A: 1\n", 1),
            (b"A: 1\n\n B: 2\n", 3),
            (b": 1\n", 1),
            (b"A : 1\n", 1),
            (b"A\tB: 1\n", 1),
            (b"#A: 1\n", 1),
            (b"A: 1\n# comment\n", 2),
            (b"-A: 1\n", 1),
            ("Ä: 1\n".as_bytes(), 1),
            (b"A: 1\nB: 2", 2),
            (b"\xef\xbb\xbfA: 1\n", 1),
        ];
        for (input, line) in bad {
            let text = String::from_utf8_lossy(input);
            let error = paragraphs("deb822", input).unwrap_err().to_string();
            assert!(error.ends_with(&format!("(line {line})")), "{text:?}: {error}");
            let last = Stanzas::new(input).last();
            assert!(matches!(last, Some(Err(_))), "{text:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let fields: String = (0..=MOST_FIELDS).map(|n| format!("F{n}: x\n")).collect();
        assert!(matches!(
            paragraphs("deb822", fields.as_bytes()),
            Err(FormatError::Limit { .. })
        ));
        let many = "A: 1\n\n".repeat(MOST_PARAGRAPHS + 1);
        assert!(matches!(
            paragraphs("deb822", many.as_bytes()),
            Err(FormatError::Limit { .. })
        ));
        let long = format!("A: {}\n", "x".repeat(LARGEST_STANZA));
        assert!(matches!(
            Stanzas::new(long.as_bytes()).next(),
            Some(Err(FormatError::Limit { .. }))
        ));
        let newlines = vec![b'\n'; LARGEST + 1];
        assert!(paragraphs("deb822", &newlines).is_err());
        assert!(Stanzas::new(&newlines).next().is_none());
    }

    #[test]
    fn exactly_one_means_one() {
        assert!(paragraph("deb822", b"A: 1\n\n\n").is_ok());
        for bad in ["", "\n\n", "A: 1\n\nB: 2\n"] {
            assert!(paragraph("deb822", bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_can_be_injected() -> Result<(), FormatError> {
        let mut paragraph = Paragraph::new();
        for (name, value) in [
            ("A", "1\n\nB: 2"),
            ("A", "1\n \nB: 2"),
            ("A", "1\n"),
            ("A", "1\r"),
            ("A", " 1"),
            ("A", "1 "),
            ("A", "1\0"),
            ("A\nB", "1"),
            ("A: 1\nB", "1"),
            ("", "1"),
            ("#A", "1"),
            ("-A", "1"),
            ("A B", "1"),
        ] {
            assert!(paragraph.set(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(paragraph.is_empty());
        paragraph.set("A", "1\nB: 2")?;
        paragraph.set("C", "")?;
        paragraph.set("a", "3\nB: 2")?;
        assert_eq!(paragraph.to_bytes(), b"A: 3\n B: 2\nC:\n");
        assert_eq!(paragraph.remove("c"), Some(String::new()));
        Ok(())
    }

    #[test]
    fn stanzas_are_slices_of_the_input() -> Result<(), FormatError> {
        let stanzas = Stanzas::new(GOOD.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let lines: Vec<usize> = stanzas.iter().map(Stanza::line).collect();
        assert_eq!(lines, [1, 9]);
        let whole: Vec<u8> = stanzas.iter().flat_map(|s| [s.bytes(), b"\n"].concat()).collect();
        assert_eq!(
            whole,
            GOOD.replace("\n\n\n", "\n\n")
                .as_bytes()
                .iter()
                .chain(b"\n")
                .copied()
                .collect::<Vec<_>>()
        );
        let first = stanzas.first().unwrap();
        assert_eq!(first.field("description"), Some("short"));
        assert_eq!(
            first.lines("Description").collect::<Vec<_>>(),
            ["long é", ".", "tabbed"]
        );
        assert_eq!(first.field("Descriptio"), None);
        Ok(())
    }

    #[test]
    fn blocks_are_what_stanzas_read() {
        for text in [GOOD, "", "\n\n", "A: 1", "A: 1\n\n\nB: 2\n\n", "\nA: 1\n\nB: 2"] {
            let found: Vec<_> = blocks(text.as_bytes()).collect();
            for (lines, block) in &found {
                let before: usize = text.lines().take(*lines).map(|line| line.len() + 1).sum();
                assert!(text.as_bytes()[before..].starts_with(block), "{text:?}");
            }
            let read = Stanzas::new(text.as_bytes()).take_while(Result::is_ok).flatten();
            assert!(
                read.zip(found)
                    .all(|(stanza, (lines, block))| stanza.bytes() == block && stanza.line() == lines + 1)
            );
        }
    }
}
