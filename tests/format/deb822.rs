//! deb822 against dpkg's reader.

use assay::format::FormatError;
use assay::format::deb822::{Paragraph, Stanza, Stanzas, paragraph, paragraphs};
use proptest::prelude::*;

use super::generate;
use crate::support::dpkg_perl;

fn a_paragraph() -> impl Strategy<Value = Paragraph> {
    let line = "[!-~é€][ -~\té€]{0,20}[!-~é€]";
    let value = (
        prop::option::of(line),
        prop::collection::vec(prop::string::string_regex(line).unwrap(), 0..4),
    );
    let field = ("[A-Za-z][A-Za-z0-9_.+-]{0,9}", value);
    prop::collection::vec(field, 1..8).prop_map(|fields| {
        let mut paragraph = Paragraph::new();
        for (name, (first, rest)) in fields {
            let lines: Vec<String> = std::iter::once(first.unwrap_or_default()).chain(rest).collect();
            paragraph.set(&name, &lines.join("\n")).unwrap();
        }
        paragraph
    })
}

/// Text in which each trap comes up often.
fn hostile_text() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"A: 1\n",
        b"B: x y\n",
        b"b: 2\n",
        b"Long-Name_1.x+:v\n",
        b"C:\n",
        b" more\n",
        b"\tmore\n",
        b" .\n",
        b" ..\n",
        b"  . x\n",
        b"D: a:b : c\n",
        b"E::\n",
        b"F:\t v \t\n",
        b" trailing \t\n",
        b"\n",
        b"\n",
        b"\n\n",
        b" \n",
        b"\t\n",
        b"#c\n",
        b"# D: 1\n",
        b" # no comment\n",
        b"-----BEGIN PGP SIGNED MESSAGE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n",
        b"-G: 1\n",
        b"H : 1\n",
        b":\n",
        b"I",
        b": 1",
        b" ",
        b"\r\n",
        b"\x0c\n",
        b"\0",
        b"\xc3\xa9\n",
        b"J: \xc3\xa9\xe2\x82\xac\n",
        b"\xff\n",
        b"\xc2\x85",
        b"\xc2\xa0\n",
        b"\x0b",
        b"K=L: 1\n",
        b"\"M\": 1\n",
        b"\xe2\x80\xa8 x: 1\n",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(pieces[..17].to_vec()),
        2 => prop::sample::select(pieces),
    ];
    prop::collection::vec(piece, 1..9).prop_map(|pieces| pieces.concat())
}

/// What `Dpkg::Control` makes of a value: dots that stand alone lose one.
fn as_dpkg_unescapes(value: &str) -> String {
    let mut lines = value.split('\n');
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push('\n');
        out.push_str(if line.bytes().all(|b| b == b'.') {
            &line[1..]
        } else {
            line
        });
    }
    out
}

/// For each paragraph: how many fields, then names (dpkg writes them in its own case) and values.
fn flat(all: &[Paragraph]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for paragraph in all {
        out.push(paragraph.fields().count().to_string().into_bytes());
        for (name, value) in paragraph.fields() {
            out.push(name.to_ascii_lowercase().into_bytes());
            out.push(as_dpkg_unescapes(value).into_bytes());
        }
    }
    out
}

const DPKG: &str = r#"
    open(my $file, '<', \$_) or die;
    my @out;
    while (1) {
        my $control = Dpkg::Control::HashCore->new();
        $control->parse($file, 'case') or last;
        my @names = @{$$control->{in_order}};
        push @out, scalar(@names), map { (lc, $control->{$_}) } @names;
    }
    @out
"#;

#[test]
fn dpkg_reads_the_same_in_all_that_is_taken() {
    let mut accepted = Vec::new();
    let mut refused = 0;
    for text in generate(&hostile_text(), 20_000) {
        match paragraphs("deb822", &text) {
            Ok(all) => accepted.push((text, all)),
            Err(_) => refused += 1,
        }
    }
    assert!(
        accepted.len() > 3000 && refused > 3000,
        "{} taken, {refused} refused",
        accepted.len()
    );
    let cases: Vec<Vec<u8>> = accepted.iter().map(|(text, _)| text.clone()).collect();
    let answers = dpkg_perl::each("use Dpkg::Control::HashCore;", DPKG, &cases);
    for ((text, all), dpkg) in accepted.iter().zip(answers) {
        assert_eq!(dpkg, Some(flat(all)), "{:?}", String::from_utf8_lossy(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read_back(paragraph_in in a_paragraph()) {
        let bytes = paragraph_in.to_bytes();
        let read = paragraph("deb822", &bytes).unwrap();
        prop_assert_eq!(&read, &paragraph_in);
        prop_assert_eq!(read.to_bytes(), bytes);
    }

    #[test]
    fn writing_what_was_read_changes_nothing_twice(text in hostile_text()) {
        if let Ok(all) = paragraphs("deb822", &text) {
            for read in all {
                prop_assert_eq!(paragraph("deb822", &read.to_bytes()).unwrap(), read);
            }
        }
    }

    #[test]
    fn the_scanner_gives_slices_of_what_it_takes(text in hostile_text()) {
        let stanzas: Result<Vec<Stanza>, FormatError> = Stanzas::new(&text).collect();
        if let Ok(stanzas) = stanzas {
            let all = paragraphs("deb822", &text).unwrap();
            prop_assert_eq!(stanzas.len(), all.len());
            for (stanza, read) in stanzas.iter().zip(&all) {
                prop_assert_eq!(&paragraph("deb822", stanza.bytes()).unwrap(), read);
                for (name, value) in read.fields() {
                    prop_assert_eq!(stanza.field(name), value.split('\n').next());
                    prop_assert_eq!(stanza.lines(name).count(), value.split('\n').count() - 1);
                }
            }
        }
    }
}
