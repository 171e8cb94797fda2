//! Why two builds differ: a guess, from what their records say and from the bytes that differ.
//!
//! For people. Nothing that is decided leans on it: a hostile source can make any guess come out.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FileOrder, Parameters};
use crate::domain::{Timestamp, escape};
use crate::format::compress::{Compression, decompress};
use crate::format::deb::{DebLimits, read_whole_deb};
use crate::format::intoto::{Provenance, Statement};
use crate::format::tar::{TarEntry, TarKind};

/// The most that is looked at inside one package, uncompressed, in bytes.
const LARGEST: u64 = 256 << 20;
/// Clocks tick between what a build reads and what its record says: seconds.
const SKEW: i64 = 2;
/// The longest example that is shown, in characters.
const EXAMPLE: usize = 60;

/// What was around a build, as its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The host name.
    pub hostname: String,
    /// The build user.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// `DEB_BUILD_OPTIONS`.
    pub options: String,
    /// `LC_ALL`.
    pub locale: String,
    /// Where the source was.
    pub path: String,
    /// How folders list their files.
    pub file_order: FileOrder,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What made two builds differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The path of the source.
    Path,
    /// The host name.
    HostName,
    /// The build user's name or number.
    User,
    /// The locale.
    Locale,
    /// The time.
    Time,
    /// How many jobs ran at once.
    Parallelism,
    /// The order in which folders list their files.
    FileOrder,
    /// Nothing that is known to differ.
    Randomness,
}

/// A cause, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guess {
    /// The cause.
    pub cause: Cause,
    /// What was found, in one line.
    pub found: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "build path",
            Self::HostName => "host name",
            Self::User => "user",
            Self::Locale => "locale",
            Self::Time => "time",
            Self::Parallelism => "parallelism",
            Self::FileOrder => "file order",
            Self::Randomness => "randomness",
        })
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.found)
    }
}

impl Circumstances {
    /// Those of a record.
    #[must_use]
    pub fn of(statement: &Statement<Provenance<Parameters>>) -> Self {
        let recipe = &statement.predicate.build_definition.external_parameters.recipe;
        let metadata = &statement.predicate.run_details.metadata;
        Self {
            hostname: recipe.hostname.clone(),
            user: recipe.user.clone(),
            uid: recipe.uid,
            options: recipe.deb_build_options.clone(),
            locale: recipe.lc_all.clone(),
            path: recipe.build_path.clone(),
            file_order: recipe.file_order,
            started: metadata.started_on,
            finished: metadata.finished_on,
        }
    }

    fn jobs(&self) -> Option<&str> {
        let mut words = self.options.split_whitespace();
        words.find_map(|word| word.strip_prefix("parallel="))
    }

    /// What programs call the character set of this locale.
    fn charsets(&self) -> &'static [&'static str] {
        match self.locale.as_str() {
            "C" => &["C", "POSIX", "ANSI_X3.4-1968", "US-ASCII", "ascii"],
            _ => &["C.UTF-8", "C.utf8", "UTF-8", "utf-8", "utf8"],
        }
    }
}

/// The causes that the difference between two builds of one package speaks for, most telling first;
/// none when the packages cannot be read or do not differ.
#[must_use]
pub fn causes(first: (&[u8], &Circumstances), second: (&[u8], &Circumstances)) -> Vec<Guess> {
    let limits = DebLimits {
        data: LARGEST,
        ..DebLimits::default()
    };
    let (Ok(one), Ok(other)) = (read_whole_deb(first.0, &limits), read_whole_deb(second.0, &limits)) else {
        return Vec::new();
    };
    let around = (first.1, second.1);
    let mut found: Vec<Guess> = Vec::new();
    let mut add = |guesses: Vec<Guess>| {
        for guess in guesses {
            if found.iter().all(|other| other.cause != guess.cause) {
                found.push(guess);
            }
        }
    };
    let (one_list, other_list) = (listing(&one.data), listing(&other.data));
    if one_list != other_list {
        add(guess(one_list.as_bytes(), other_list.as_bytes(), around));
    }
    let contents: BTreeMap<&str, &[u8]> = files(&other.data).collect();
    for (path, content) in files(&one.data) {
        if let Some(there) = contents.get(path).filter(|there| **there != content) {
            add(guess(content, there, around));
        }
    }
    for (name, value) in one.control.fields() {
        // The size follows from what was compared already.
        if let Some(there) = other
            .control
            .get(name)
            .filter(|there| *there != value && name != "Installed-Size")
        {
            add(guess(value.as_bytes(), there.as_bytes(), around));
        }
    }
    if found.len() > 1 {
        // What follows from another cause, such as a checksum, looks like chance.
        found.retain(|guess| guess.cause != Cause::Randomness);
    }
    found
}

fn files(entries: &[TarEntry]) -> impl Iterator<Item = (&str, &[u8])> {
    entries
        .iter()
        .filter_map(|entry| Some((entry.path.as_str(), entry.content.as_deref()?)))
}

/// Everything but contents, one entry a line.
fn listing(entries: &[TarEntry]) -> String {
    let line = |entry: &TarEntry| {
        let target = match &entry.kind {
            TarKind::Symlink(target) | TarKind::Hardlink { target, .. } => target.as_str(),
            _ => "",
        };
        let (mode, mtime) = (entry.mode, entry.mtime);
        let owner = format!("{} {} {} {}", entry.user, entry.group, entry.uid, entry.gid);
        format!("{} {target} {mode:o} {owner} {mtime}\n", entry.path)
    };
    entries.iter().map(line).collect()
}

/// What speaks for which cause, in two contents that differ; none when they do not. Several where more than one
/// thing that differed explains the same bytes: the most telling first.
fn guess(first: &[u8], second: &[u8], around: (&Circumstances, &Circumstances)) -> Vec<Guess> {
    if first == second {
        return Vec::new();
    }
    const GZIP: &[u8] = &[0x1f, 0x8b];
    if first.starts_with(GZIP) && second.starts_with(GZIP) {
        let inside = |bytes: &[u8]| decompress(Compression::Gzip, bytes, LARGEST).ok();
        return match (inside(first), inside(second)) {
            (Some(one), Some(other)) if one != other => guess(&one, &other, around),
            _ => vec![binary_time(first, second, around).unwrap_or_else(chance)],
        };
    }
    let (one, other) = apart(first, second);
    if one.is_empty() && other.is_empty() {
        return reordered(
            &lines(first).collect::<Vec<_>>(),
            &lines(second).collect::<Vec<_>>(),
            around,
        );
    }
    let found = named(&one, &other, around)
        .or_else(|| clock(&one, &other, around))
        .or_else(|| jobs(&one, &other, around))
        .or_else(|| charset(&one, &other, around));
    if let Some(found) = found {
        return vec![found];
    }
    let ordered = same_words(&one, &other, around);
    if !ordered.is_empty() {
        return ordered;
    }
    vec![binary_time(first, second, around).unwrap_or_else(chance)]
}

fn chance() -> Guess {
    Guess {
        cause: Cause::Randomness,
        found: "nothing that the builds are known to differ in shows in the bytes".to_owned(),
    }
}

/// Runs of printable characters.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b < 0x20 || *b == 0x7f).filter(|line| !line.is_empty())
}

/// The lines that only one side has, in its order.
fn apart<'a>(first: &'a [u8], second: &'a [u8]) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let only = |of: &'a [u8], without: &'a [u8]| {
        let mut count: BTreeMap<&[u8], usize> = BTreeMap::new();
        for line in lines(without) {
            let seen = count.entry(line).or_default();
            *seen = seen.saturating_add(1);
        }
        let mut found = Vec::new();
        for line in lines(of) {
            match count.get_mut(line).filter(|left| **left > 0) {
                Some(left) => *left = left.saturating_sub(1),
                None => found.push(line),
            }
        }
        found
    };
    (only(first, second), only(second, first))
}

/// Whether a line has this as a word of its own: `host` is neither in `localhost` nor in `host-two`.
fn has_word(line: &[u8], word: &str) -> bool {
    let is_number = word.bytes().all(|b| b.is_ascii_digit());
    let joins = |b: &u8| !is_number && matches!(b, b'-' | b'_');
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || joins(b));
    memchr::memmem::find_iter(line, word).any(|at| {
        let before = at.checked_sub(1).and_then(|at| line.get(at));
        !part(before) && !part(line.get(at.saturating_add(word.len())))
    })
}

fn first_with<'a>(lines: &[&'a [u8]], word: &str) -> Option<&'a [u8]> {
    lines.iter().copied().find(|line| has_word(line, word))
}

/// A value that each side has from its own build.
fn named(one: &[&[u8]], other: &[&[u8]], (a, b): (&Circumstances, &Circumstances)) -> Option<Guess> {
    let (uid, other_uid) = (a.uid.to_string(), b.uid.to_string());
    let mut pairs = vec![
        (Cause::Path, a.path.as_str(), b.path.as_str()),
        (Cause::HostName, &a.hostname, &b.hostname),
        (Cause::User, &a.user, &b.user),
        (Cause::User, &uid, &other_uid),
    ];
    for (first, second) in a.charsets().iter().zip(b.charsets()) {
        pairs.push((Cause::Locale, first, second));
    }
    pairs.into_iter().find_map(|(cause, first, second)| {
        let differ = first != second;
        (differ && first_with(one, first).is_some() && first_with(other, second).is_some()).then(|| Guess {
            cause,
            found: format!("one has `{}`, the other `{}`", escape(first), escape(second)),
        })
    })
}

/// A point in time that lies within each build.
fn clock(one: &[&[u8]], other: &[&[u8]], (a, b): (&Circumstances, &Circumstances)) -> Option<Guess> {
    let first = one.iter().find(|line| tells_time(line, a))?;
    let second = other.iter().find(|line| tells_time(line, b))?;
    Some(Guess {
        cause: Cause::Time,
        found: format!(
            "the time of each build is in it: `{}` and `{}`",
            example(first),
            example(second)
        ),
    })
}

fn tells_time(line: &[u8], around: &Circumstances) -> bool {
    let (from, to) = (
        around.started.unix().saturating_sub(SKEW),
        around.finished.unix().saturating_add(SKEW),
    );
    let within = |seconds: i64| (from..=to).contains(&seconds);
    let numbers = line.split(|b| !b.is_ascii_digit());
    let counted = numbers
        .filter_map(|digits| std::str::from_utf8(digits).ok())
        .any(|digits| {
            // Seconds, or a finer unit: the first ten digits are the seconds until 2286.
            let seconds = digits.get(..10).and_then(|digits| digits.parse().ok());
            matches!(digits.len(), 10 | 13 | 16 | 19) && seconds.is_some_and(within)
        });
    counted || times_of_day(line).any(|of_day| (from..=to).any(|second| second.rem_euclid(86_400) == of_day))
}

/// Each `HH:MM:SS` or `HHMMSS` behind eight digits of a date, as seconds of a day.
fn times_of_day(line: &[u8]) -> impl Iterator<Item = i64> {
    let two = |at: Option<&[u8]>| -> Option<i64> {
        let digits = std::str::from_utf8(at?).ok()?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let seconds = move |hour: Option<i64>, minute: Option<i64>, second: Option<i64>| {
        let (hour, minute, second) = (hour?, minute?, second?);
        Some(
            hour.saturating_mul(3600)
                .saturating_add(minute.saturating_mul(60))
                .saturating_add(second),
        )
    };
    let clocks = line.windows(8).filter_map(move |part| {
        let colons = (part.get(2), part.get(5)) == (Some(&b':'), Some(&b':'));
        colons.then(|| seconds(two(part.get(..2)), two(part.get(3..5)), two(part.get(6..8))))?
    });
    let stamps = line.windows(14).filter_map(move |part| {
        let digits = part.iter().all(u8::is_ascii_digit) && part.starts_with(b"20");
        digits.then(|| seconds(two(part.get(8..10)), two(part.get(10..12)), two(part.get(12..14))))?
    });
    clocks.chain(stamps)
}

/// The number of jobs, as a word.
fn jobs(one: &[&[u8]], other: &[&[u8]], (a, b): (&Circumstances, &Circumstances)) -> Option<Guess> {
    let (first, second) = (a.jobs()?, b.jobs()?);
    if first == second {
        return None;
    }
    for prefix in ["parallel=", "-j", ""] {
        let with = |number: &str| format!("{prefix}{number}");
        if let (Some(_), Some(_)) = (first_with(one, &with(first)), first_with(other, &with(second))) {
            let found = format!(
                "one has `{}`, the other `{}`, as many as jobs",
                with(first),
                with(second)
            );
            return Some(Guess {
                cause: Cause::Parallelism,
                found,
            });
        }
    }
    None
}

/// The same text, as far as ASCII goes.
fn charset(one: &[&[u8]], other: &[&[u8]], (a, b): (&Circumstances, &Circumstances)) -> Option<Guess> {
    let plain = |lines: &[&[u8]]| lines.iter().all(|line| line.is_ascii());
    let bare = |lines: &[&[u8]]| -> Vec<u8> {
        let kept = |b: &&u8| b.is_ascii() && !matches!(b, b'?' | b'\'' | b'"' | b'`' | b'\\');
        lines
            .iter()
            .flat_map(|line| line.iter().filter(kept).copied())
            .collect()
    };
    (a.locale != b.locale && plain(one) != plain(other) && bare(one) == bare(other)).then(|| Guess {
        cause: Cause::Locale,
        found: "the same text, in ASCII only on one side".to_owned(),
    })
}

/// The same words in another order, within lines.
fn same_words(one: &[&[u8]], other: &[&[u8]], around: (&Circumstances, &Circumstances)) -> Vec<Guess> {
    fn words<'a>(lines: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let all = lines.iter().flat_map(|line| line.split(|b| *b == b' '));
        all.filter(|word| !word.is_empty()).collect()
    }
    let (first, second) = (words(one), words(other));
    let sorted = |words: &[&[u8]]| -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        words.sort();
        words
    };
    if first.len() > 1 && sorted(&first) == sorted(&second) {
        reordered(&first, &second, around)
    } else {
        Vec::new()
    }
}

/// The same parts in another order: by how folders list files, or by which job ended first. When the builds differed
/// in both, both are named. Jobs that run side by side end in about the order in which they were started; another
/// file system lists in quite another order, or the other way round, and what is listed are names.
fn reordered(first: &[&[u8]], second: &[&[u8]], (a, b): (&Circumstances, &Circumstances)) -> Vec<Guess> {
    let is_name = |part: &&&[u8]| !part.contains(&b' ') && part.iter().any(|b| matches!(b, b'.' | b'/'));
    let mostly_names = first.iter().filter(is_name).count().saturating_mul(2) > first.len();
    let what = if mostly_names { "names" } else { "lines or words" };
    let found = |cause| Guess {
        cause,
        found: format!("the same {} {what} in another order", first.len()),
    };
    match (a.file_order != b.file_order, a.jobs() != b.jobs()) {
        (false, true) => return vec![found(Cause::Parallelism)],
        (_, false) => return vec![found(Cause::FileOrder)],
        (true, true) => {}
    }
    let number = |around: &Circumstances| around.jobs().and_then(|jobs| jobs.parse::<usize>().ok()).unwrap_or(1);
    let by_jobs = match Shuffle::of(first, second) {
        Shuffle { reversed: true, .. } => false,
        Shuffle { moved, .. } if moved < FEW => !mostly_names,
        // A name may be that of an object that a job made, but is more often one that was listed.
        shuffle if mostly_names => shuffle.distance <= shuffle.moved,
        shuffle => shuffle.distance <= shuffle.moved.saturating_mul(number(a).max(number(b))),
    };
    let also = |cause, how: String| Guess {
        cause,
        found: format!("may explain that order as well: {how}"),
    };
    let (one, other) = (a.jobs().unwrap_or("1"), b.jobs().unwrap_or("1"));
    let jobs = || format!("the builds ran {} and {} jobs at once", escape(one), escape(other));
    let listed = || {
        format!(
            "folders were listed as on {} and in {}",
            a.file_order.word(),
            b.file_order.word()
        )
    };
    if by_jobs {
        vec![found(Cause::Parallelism), also(Cause::FileOrder, listed())]
    } else {
        vec![found(Cause::FileOrder), also(Cause::Parallelism, jobs())]
    }
}

/// Fewer parts than this do not tell how they were shuffled.
const FEW: usize = 6;

/// How parts were moved, between the first and the last that are not where they were.
struct Shuffle {
    /// How many parts lie there.
    moved: usize,
    /// By how many places they were moved, together.
    distance: usize,
    /// Whether they are the other way round: three or more.
    reversed: bool,
}

impl Shuffle {
    fn of(first: &[&[u8]], second: &[&[u8]]) -> Self {
        let pairs = || first.iter().zip(second);
        let start = pairs().take_while(|(a, b)| a == b).count();
        let end = pairs().rev().take_while(|(a, b)| a == b).count();
        let inner = |parts: &[&[u8]]| -> Vec<Vec<u8>> {
            let upto = parts.len().saturating_sub(end);
            parts
                .get(start..upto)
                .unwrap_or_default()
                .iter()
                .map(|part| part.to_vec())
                .collect()
        };
        let (one, other) = (inner(first), inner(second));
        // Of parts that are the same, the first is the first.
        let mut places: BTreeMap<&[u8], std::collections::VecDeque<usize>> = BTreeMap::new();
        for (at, part) in other.iter().enumerate() {
            places.entry(part).or_default().push_back(at);
        }
        let mut distance = 0_usize;
        for (at, part) in one.iter().enumerate() {
            let there = places
                .get_mut(part.as_slice())
                .and_then(std::collections::VecDeque::pop_front);
            distance = distance.saturating_add(there.map_or(0, |there| there.abs_diff(at)));
        }
        Self {
            moved: one.len(),
            distance,
            reversed: one.len() > 2 && one.iter().eq(other.iter().rev()),
        }
    }
}

/// Four bytes, in either order, that are a time of each build where the two first differ.
fn binary_time(first: &[u8], second: &[u8], (a, b): (&Circumstances, &Circumstances)) -> Option<Guess> {
    let at = first.iter().zip(second).position(|(one, other)| one != other)?;
    let number = |bytes: &[u8], from: usize, big: bool| -> Option<i64> {
        let four: [u8; 4] = bytes.get(from..from.checked_add(4)?)?.try_into().ok()?;
        Some(i64::from(if big {
            u32::from_be_bytes(four)
        } else {
            u32::from_le_bytes(four)
        }))
    };
    let within = |seconds: Option<i64>, around: &Circumstances| {
        let (from, to) = (
            around.started.unix().saturating_sub(SKEW),
            around.finished.unix().saturating_add(SKEW),
        );
        seconds.is_some_and(|seconds| (from..=to).contains(&seconds))
    };
    let told = (at.saturating_sub(3)..=at).any(|from| {
        [false, true]
            .into_iter()
            .any(|big| within(number(first, from, big), a) && within(number(second, from, big), b))
    });
    told.then(|| Guess {
        cause: Cause::Time,
        found: format!("the time of each build is in it, in binary, about byte {at}"),
    })
}

fn example(line: &[u8]) -> String {
    escape(String::from_utf8_lossy(line).trim())
        .chars()
        .take(EXAMPLE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(jobs: u32, file_order: FileOrder) -> Circumstances {
        Circumstances {
            hostname: "h".to_owned(),
            user: "u".to_owned(),
            uid: 1000,
            options: format!("parallel={jobs}"),
            locale: "C".to_owned(),
            path: "/build/p".to_owned(),
            file_order,
            started: Timestamp::from_unix(0),
            finished: Timestamp::from_unix(1),
        }
    }

    fn causes_of(one: &str, other: &str) -> Vec<Cause> {
        let (a, b) = (around(1, FileOrder::Disk), around(2, FileOrder::Memory));
        let found = guess(one.as_bytes(), other.as_bytes(), (&a, &b));
        found.into_iter().map(|guess| guess.cause).collect()
    }

    /// Where both could be, the order itself tells which is the more likely; and both are named.
    #[test]
    fn another_order_is_told_from_how_it_is_shuffled() {
        let order = [Cause::FileOrder, Cause::Parallelism];
        let jobs = [Cause::Parallelism, Cause::FileOrder];
        let plain: Vec<String> = (0..12).map(|n| format!("part{n}")).collect();
        let turned: Vec<String> = plain.iter().rev().cloned().collect();
        assert_eq!(causes_of(&plain.join("\n"), &turned.join("\n")), order, "newest first");
        assert_eq!(causes_of(&plain.join(" "), &turned.join(" ")), order, "in one line");
        let hashed: Vec<String> = (0..12).map(|n| format!("part{}", (n * 5 + 3) % 12)).collect();
        assert_eq!(
            causes_of(&plain.join("\n"), &hashed.join("\n")),
            order,
            "words without a dot"
        );
        let mut overtaken = plain.clone();
        for pair in overtaken.chunks_exact_mut(2) {
            pair.swap(0, 1);
        }
        assert_eq!(causes_of(&plain.join("\n"), &overtaken.join("\n")), jobs, "neighbours");
        let late = [&plain[1..], &plain[..1]].concat();
        assert_eq!(
            causes_of(&plain.join("\n"), &late.join("\n")),
            jobs,
            "one that took long"
        );
        assert_eq!(causes_of("a.c\nb.c\n", "b.c\na.c\n"), order, "few names");
        assert_eq!(
            causes_of("one thing\nanother\n", "another\none thing\n"),
            jobs,
            "few lines"
        );
        let same = (&around(1, FileOrder::Disk), &around(1, FileOrder::Memory));
        assert_eq!(
            guess(b"x y", b"y x", same).len(),
            1,
            "what did not differ explains nothing"
        );
    }
}
