//! deb822: the paragraphs of control data (deb822(5), Debian Policy §5.1), read strictly and written
//! in one form only.
//!
//! What apt, dpkg and other readers take in different ways is refused: blank-only lines, carriage
//! returns, control characters, duplicate fields, lines without a colon, text that is not UTF-8, a
//! missing newline at the end. What is left, every reader reads alike.

mod paragraph;
mod scan;

pub use paragraph::{Paragraph, paragraph, paragraphs, paragraphs_with_comments};
pub use scan::{Stanza, Stanzas};

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
