//! tar: what is read stays inside, and our writer writes it again.
#![no_main]

use std::collections::BTreeSet;

use assay::format::tar::{Body, Limits, NewEntry, TarKind, Writer, read};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    entries: 1000,
    keep_content: true,
    pax: true,
    foreign: false,
};

fuzz_target!(|data: &[u8]| {
    let Ok(mut entries) = read(data, &LIMITS) else {
        return;
    };
    let mut seen = BTreeSet::new();
    for entry in &entries {
        assert!(entry.path == "." || entry.path.split('/').all(|part| !matches!(part, "" | "." | "..")));
        assert!(!entry.path.chars().any(char::is_control));
        assert!(seen.insert(entry.path.clone()), "twice {}", entry.path);
    }
    entries.retain(|entry| !matches!(entry.kind, TarKind::Hardlink { .. }));
    let mut writer = Writer::new(Vec::new());
    for entry in &entries {
        let body = match &entry.kind {
            TarKind::Symlink(target) => Body::Symlink(target),
            TarKind::Directory => Body::Directory,
            _ => Body::File(entry.content.as_deref().expect("kept")),
        };
        let new = NewEntry {
            path: &entry.path,
            mode: entry.mode,
            mtime: entry.mtime,
            body,
        };
        writer.append(&new).expect("what we read we write");
    }
    let written = writer.finish().expect("memory");
    let limits = Limits {
        bytes: 8 << 20,
        ..LIMITS
    };
    let again = read(&written[..], &limits).expect("our own form is refused");
    assert_eq!(entries.len(), again.len());
    for (old, new) in entries.iter().zip(&again) {
        assert_eq!(
            (&old.path, &old.kind, old.mode, old.mtime, &old.content),
            (&new.path, &new.kind, new.mode, new.mtime, &new.content)
        );
    }
});
