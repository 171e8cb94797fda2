//! Imports go one way, and I/O has its places.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The flow. A module may import only what stands before it.
const ORDER: [&str; 21] = [
    "domain",
    "host",
    "format",
    "store",
    "trust",
    "lint",
    "site",
    "snapshot",
    "index",
    "upstream",
    "source",
    "environment",
    "rebuild",
    "admission",
    "publish",
    "collect",
    "verify",
    "query",
    "prepare",
    "serve",
    "cli",
];
/// Functions of their input: bytes in, values out.
const PURE: [&str; 6] = ["domain", "format", "trust", "index", "admission", "prepare"];
/// What a pure module may not name.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "tokio",
    "reqwest",
    "object_store",
    "crate::host",
    "crate::store",
];
/// The files that may call what clippy.toml disallows, each for the reason that it gives itself.
const EDGES: [&str; 3] = ["host/clock.rs", "host/files.rs", "host/program.rs"];
/// What leads out of the process, and where below src/ it may be named. The first entry that fits counts.
const PLACES: [(&str, &[&str]); 19] = [
    ("heap", &["host/mod.rs"]),
    // A parsed URL alone opens nothing.
    ("reqwest::Url", &["upstream/", "store/"]),
    ("reqwest", &["upstream/", "store/http.rs"]),
    ("axum", &["serve/"]),
    ("hyper", &["serve/"]),
    ("tokio", &["upstream/", "serve/", "store/object.rs"]),
    ("tokio_util", &["serve/"]),
    ("object_store", &["store/object.rs"]),
    (
        "rustix::process",
        &[
            "environment/namespace.rs",
            "host/process.rs",
            "host/program.rs",
            "rebuild/base.rs",
        ],
    ),
    ("rustix", &["host/files.rs", "host/program.rs", "store/folder.rs"]),
    ("tempfile", &["host/files.rs"]),
    ("std::process::ExitCode", &["cli/", "main.rs"]),
    ("std::process::id", &["host/", "store/folder.rs"]),
    ("std::process", &["host/process.rs", "host/program.rs"]),
    // An address alone opens nothing.
    ("std::net::SocketAddr", &["cli/", "serve/", "upstream/"]),
    ("std::net", &["upstream/resolve.rs"]),
    (
        "std::fs",
        &["host/files.rs", "serve/object.rs", "store/folder.rs", "store/local.rs"],
    ),
    ("std::os", &["host/files.rs", "host/process.rs", "store/folder.rs"]),
    ("std::env", &["host/program.rs"]),
];
/// Who may write to the terminal. What scripts read goes through one file.
const TERMINAL: [&str; 3] = ["cli/mod.rs", "cli/output.rs", "host/progress.rs"];
/// Where a value that is known to be good is taken without a way out, each with its reason.
const EXPECTING: [&str; 4] = [
    "publish/plan.rs",
    "serve/pages.rs",
    "snapshot/content.rs",
    "store/mod.rs",
];
const LONGEST: usize = 800;

struct Source {
    /// Relative to src/.
    name: String,
    text: String,
}

impl Source {
    /// The stage it belongs to: the first folder. None for lib.rs and main.rs.
    fn stage(&self) -> Option<&str> {
        self.name.split_once('/').map(|(stage, _)| stage)
    }

    /// Lines that are code, with their numbers; without unit tests when `tests` is false.
    fn code(&self, tests: bool) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        lines
            .take_while(move |(_, line)| tests || *line != "#[cfg(test)]")
            .filter(|(_, line)| !line.starts_with("//"))
    }

    /// How deep its module is: 1 for `a/mod.rs`, 2 for `a/b.rs`.
    fn depth(&self) -> usize {
        self.name.split('/').filter(|part| *part != "mod.rs").count()
    }

    /// Full paths that it names, from the crate's root or another crate, with their lines.
    fn paths(&self, tests: bool) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut statement: Option<(usize, String)> = None;
        for (number, line) in self.code(tests) {
            let starts = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
            if statement.is_none() && starts.iter().any(|start| line.starts_with(start)) {
                statement = Some((number, String::new()));
            }
            if let Some((first, text)) = &mut statement {
                text.push_str(line);
                text.push(' ');
                if line.ends_with(';') {
                    let tree = text.trim().trim_end_matches(';');
                    let tree = tree.split_once("use ").map_or("", |(_, tree)| tree);
                    found.extend(expand(tree).into_iter().map(|path| (*first, self.absolute(&path))));
                    statement = None;
                }
                continue;
            }
            let words = line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')));
            let qualified = words.filter(|word| word.contains("::"));
            found.extend(qualified.map(|word| (number, self.absolute(word))));
        }
        found
    }

    /// `super::super::x` as `crate::x`, when it climbs to the root (unit tests are one deeper).
    fn absolute(&self, path: &str) -> String {
        let rest = path.trim_start_matches("super::");
        let climbed = (path.len() - rest.len()) / "super::".len();
        let first = rest.split("::").next().unwrap_or_default();
        if climbed > 0 && climbed >= self.depth() && ORDER.contains(&first) {
            format!("crate::{rest}")
        } else {
            path.to_owned()
        }
    }
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    let full = parts.flat_map(|part| expand(part.trim()));
    full.map(|part| format!("{}{part}", prefix.trim())).collect()
}

/// Whether a path is `name` or something in it.
fn is_under(path: &str, name: &str) -> bool {
    path.strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What a file names that has its place elsewhere.
fn misplaced(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for (line, path) in source.paths(false) {
        let terminal = ["std::io::stdout", "std::io::stderr", "std::io::stdin"];
        let places = if terminal.iter().any(|name| is_under(&path, name)) {
            Some(&TERMINAL[..])
        } else {
            let entry = PLACES.iter().find(|(name, _)| is_under(&path, name));
            entry.map(|(_, places)| *places)
        };
        if places.is_some_and(|places| !places.iter().any(|place| source.name.starts_with(place))) {
            problems.push(format!(
                "src/{}:{line} names {path}, which has its place elsewhere",
                source.name
            ));
        }
    }
    for (line, text) in source.code(false) {
        if ["println!", "print!", "eprintln!", "eprint!"]
            .iter()
            .any(|name| text.contains(name))
        {
            problems.push(format!("src/{}:{line} prints; cli::output does", source.name));
        }
    }
    problems
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found.sort();
    assert!(found.len() > 50, "src was not found");
    let source = |path: PathBuf| Source {
        name: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        text: fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().map(source).collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn lib_names_the_stages_in_order() {
    let all = sources();
    let lib = all.iter().find(|source| source.name == "lib.rs").unwrap();
    let named: Vec<&str> = lib
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .collect();
    assert_eq!(named, ORDER.map(|stage| format!("{stage};")));
}

#[test]
fn imports_go_one_way() {
    let rank = |stage: &str| ORDER.iter().position(|name| *name == stage);
    let mut problems = Vec::new();
    for source in sources() {
        let Some(own) = source.stage().and_then(rank) else {
            continue;
        };
        for (line, path) in source.paths(true) {
            let target = path
                .strip_prefix("crate::")
                .and_then(|rest| rank(rest.split("::").next().unwrap()));
            if target.is_some_and(|target| target > own) {
                problems.push(format!(
                    "src/{}:{line} imports {path}, which comes later in the flow",
                    source.name
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn pure_modules_do_no_io() {
    let mut problems = Vec::new();
    for source in sources() {
        if !source.stage().is_some_and(|stage| PURE.contains(&stage)) {
            continue;
        }
        for (line, path) in source.paths(false) {
            if IMPURE.iter().any(|name| is_under(&path, name)) {
                problems.push(format!("src/{}:{line} names {path}, and is pure", source.name));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn io_has_its_places() {
    let mut problems = Vec::new();
    let mut edges = Vec::new();
    for source in sources() {
        let code: String = source.code(false).map(|(_, line)| format!("{line}\n")).collect();
        if code.contains("clippy::disallowed_methods") {
            edges.push(source.name.clone());
            if !code.contains("reason = ") {
                problems.push(format!("src/{} does not say why it may do I/O", source.name));
            }
        }
        for lint in [
            "unwrap_used",
            "expect_used",
            "indexing_slicing",
            "string_slice",
            "panic",
            "unsafe_code",
        ] {
            if code.contains(&format!("allow(clippy::{lint}")) || code.contains(&format!("allow({lint}")) {
                problems.push(format!("src/{} allows {lint}", source.name));
            }
        }
    }
    assert_none(&problems);
    assert_eq!(edges, EDGES);
}

#[test]
fn what_leads_outside_is_named_only_in_its_place() {
    let problems: Vec<String> = sources().iter().flat_map(misplaced).collect();
    assert_none(&problems);
    for (name, line) in [
        ("snapshot/chain.rs", "use reqwest::Client;"),
        ("snapshot/chain.rs", "let body = reqwest::get(url);"),
        ("publish/plan.rs", "use std::{collections::BTreeMap, fs};"),
        ("verify/custom.rs", "let all = std::fs::read(path);"),
        ("store/local.rs", "use tokio::fs;"),
        ("cli/gc.rs", "use std::process::{Command, ExitCode};"),
        ("serve/app.rs", "let found = std::net::TcpStream::connect(a);"),
        ("index/select.rs", "println!(\"{found}\");"),
        ("index/select.rs", "let mut out = std::io::stdout();"),
    ] {
        let source = Source {
            name: name.to_owned(),
            text: format!("{line}\n"),
        };
        assert_eq!(misplaced(&source).len(), 1, "{name}: {line}");
    }
}

#[test]
fn only_a_few_files_expect() {
    let mut expecting = Vec::new();
    for source in sources() {
        if source.code(false).any(|(_, line)| line.contains("clippy::expect_used")) {
            expecting.push(source.name);
        }
    }
    assert_eq!(expecting, EXPECTING);
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut problems = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST {
            problems.push(format!("src/{} has {lines} lines, more than {LONGEST}", source.name));
        }
        if !source.text.starts_with("//! ") {
            problems.push(format!("src/{} does not start with `//!`", source.name));
        }
    }
    assert_none(&problems);
}

/// Who reads a code looks up what it means: it means one thing.
#[test]
fn no_code_is_given_twice() {
    let (mut given, mut problems) = (BTreeSet::new(), Vec::new());
    for source in sources() {
        let codes = source
            .text
            .split("=> \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        for code in codes.filter(|code| code.starts_with("E-") || code.starts_with("V-")) {
            if !given.insert(code.to_owned()) {
                problems.push(format!("src/{}: {code} is given to another error, too", source.name));
            }
        }
    }
    assert!(given.len() > 100, "{given:?}");
    assert_none(&problems);
}

/// Errors that a mirror, a snapshot or a collection can end with: each names the next step.
#[test]
fn every_error_of_mirrors_and_snapshots_has_a_next_step() {
    let files = [
        "upstream/error.rs",
        "host/mod.rs",
        "index/error.rs",
        "serve/error.rs",
        "snapshot/error.rs",
        "collect/error.rs",
        "store/mod.rs",
        "publish/error.rs",
    ];
    let all = sources();
    let mut problems = Vec::new();
    for file in files {
        let source = all.iter().find(|source| source.name == file).unwrap();
        let (_, hint) = source.text.split_once("    fn hint(&self)").unwrap();
        let (hint, _) = hint.split_once("\n    }\n").unwrap();
        // Without these the compiler asks for an answer for each.
        let empty = ["_ =>", "None", "\"\"", "String::new"]
            .into_iter()
            .filter(|empty| hint.contains(empty));
        problems.extend(empty.map(|empty| format!("{file}: `{empty}` in the hints of its errors")));
    }
    assert_none(&problems);
}

#[test]
fn the_parser_of_imports_sees_through_braces() {
    assert_eq!(expand("a::{b, c::{d, e}, f}"), ["a::b", "a::c::d", "a::c::e", "a::f"]);
    let source = Source {
        name: "format/deb.rs".into(),
        text: "use crate::{\n    domain::Sha256,\n    cli,\n};\nlet x = super::super::serve::y();\nlet z = super::ar::z();\n".into(),
    };
    let paths: Vec<String> = source.paths(true).into_iter().map(|(_, path)| path).collect();
    assert_eq!(
        paths,
        ["crate::domain::Sha256", "crate::cli", "crate::serve::y", "super::ar::z"]
    );
}
