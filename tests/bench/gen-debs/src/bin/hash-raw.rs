//! hash-raw LIST: reads and hashes (SHA-256) the files of a list of paths on all cores, and does nothing
//! else: no folder is read, nothing is compared. The least that any check of these bytes costs: open, read
//! to the end, close, with the same SHA-256 code as Assay. The largest files come first, as they stand in
//! the list of sizes that the untimed `hash-raw --sort LIST` makes.
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that a core takes at once: of many small ones.
const BATCH: usize = 16;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut list = args.next().expect("a list of paths");
    let sort = list == "--sort";
    if sort {
        list = args.next().expect("a list of paths");
    }
    let text = std::fs::read_to_string(&list).expect("the list");
    let mut paths: Vec<&str> = text.lines().collect();
    if sort {
        let size = |path: &&str| std::fs::metadata(path).expect("a file of the list").len();
        paths.sort_by_cached_key(|path| std::cmp::Reverse(size(path)));
        std::fs::write(&list, paths.join("\n") + "\n").expect("to write the list");
        return;
    }
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let batch = if paths.len() > 10_000 { BATCH } else { 1 };
    let bytes: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| work(&paths, &next, batch))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
    });
    println!("{} files, {bytes} bytes", paths.len());
}

fn work(paths: &[&str], next: &AtomicUsize, batch: usize) -> u64 {
    let mut buffer = vec![0; 128 << 10];
    let mut bytes = 0;
    loop {
        let at = next.fetch_add(batch, Ordering::Relaxed);
        if at >= paths.len() {
            return bytes;
        }
        for path in &paths[at..paths.len().min(at + batch)] {
            let mut file = File::open(path).expect("a file of the list");
            let mut hasher = Sha256::new();
            loop {
                let count = file.read(&mut buffer).expect("its bytes");
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
            std::hint::black_box(hasher.finalize());
        }
    }
}
