//! HTTP by hand: an upstream that tests can turn hostile, and a client that normalises nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a file is answered.
#[derive(Debug, Clone)]
pub(crate) enum Trick {
    /// This status, always.
    Status(u16),
    /// This status so many times, then honestly.
    StatusFor(u16, u32),
    /// To this `Location`, whatever it is.
    Redirect(String),
    /// The right length is announced, and only so much sent.
    Truncated(usize),
    /// Bytes without end, without a length.
    Endless,
    /// A length is announced that is not the file's.
    Announced(u64),
    /// Other bytes of the same length.
    Flipped,
    /// One byte, then nothing.
    Stalled,
    /// One byte each 50 ms.
    Dripping,
    /// So many bytes, once; then the rest is asked for, and answered so.
    CutAt(usize, Rest),
    /// Honestly, but only after the given time.
    Late(Duration),
    /// Half of the file, and the rest once the other server was asked for a path that ends so; never, when it is not.
    Behind(Upstream, String),
    /// Honestly, and the files of this path become those after it.
    Then(BTreeMap<String, Vec<u8>>),
}

/// How a request for the rest of a file is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// With the rest.
    Honest,
    /// With the whole file and 200, as a server that knows no ranges.
    Whole,
    /// With the rest, called another range.
    Misnamed,
    /// With other bytes of the right length.
    Flipped,
    /// With some bytes more, and cut off again.
    CutAgain,
    /// 416.
    Refused,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    tricks: BTreeMap<String, Trick>,
    requests: Vec<String>,
    /// The first byte of each range that was asked for.
    ranges: Vec<usize>,
    /// When answers that come late were waited for.
    spans: Vec<(Instant, Instant)>,
    /// How many connections there are, and how many there were at most.
    open: (usize, usize),
}

/// An HTTP server on loopback whose files and manners tests change while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let state = Arc::default();
        let address = listen(&state, |stream, state: &Mutex<State>| {
            let count = |by: isize| {
                let (now, most) = &mut state.lock().unwrap().open;
                *now = now.saturating_add_signed(by);
                *most = (*most).max(*now);
            };
            count(1);
            let ended = converse(stream, state);
            count(-1);
            ended
        });
        Self { address, state }
    }

    /// The base URL of everything.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// These files, and no others.
    pub(crate) fn set(&self, files: BTreeMap<String, Vec<u8>>) {
        self.state.lock().unwrap().files = files;
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path);
    }

    /// Has one more file.
    pub(crate) fn add(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().files.insert(path.to_owned(), bytes.to_vec());
    }

    /// Answers every path that ends so with a trick.
    pub(crate) fn trick(&self, suffix: &str, trick: Trick) {
        self.state.lock().unwrap().tricks.insert(suffix.to_owned(), trick);
    }

    pub(crate) fn honest(&self) {
        self.state.lock().unwrap().tricks.clear();
    }

    /// The paths that were asked for since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// How many connections there were at once, at most.
    pub(crate) fn most_open(&self) -> usize {
        self.state.lock().unwrap().open.1
    }

    /// The first bytes of the ranges that were asked for since the last call.
    pub(crate) fn ranges(&self) -> Vec<usize> {
        std::mem::take(&mut self.state.lock().unwrap().ranges)
    }
}

/// How many answers of these servers were waited for at once, at most: of those that come late.
pub(crate) fn most_at_once(servers: &[&Upstream]) -> usize {
    let spans = servers
        .iter()
        .flat_map(|server| server.state.lock().unwrap().spans.clone());
    let spans: Vec<(Instant, Instant)> = spans.collect();
    let at = |moment: Instant| spans.iter().filter(|(from, to)| (*from..*to).contains(&moment)).count();
    spans.iter().map(|(from, _)| at(*from)).max().unwrap_or_default()
}

/// A server on a port of its own: each connection is a conversation in a thread of its own.
pub(crate) fn listen<S: Send + 'static>(
    state: &Arc<Mutex<S>>,
    converse: fn(&TcpStream, &Mutex<S>) -> std::io::Result<()>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, state) = (listener.local_addr().unwrap(), Arc::clone(state));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            // Head and body are written one after the other: else the body waits for the client to acknowledge the head.
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || {
                let _ = converse(&stream, &state);
            });
        }
    });
    address
}

fn converse(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        let mut from = None;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim().to_ascii_lowercase();
            if let Some(range) = header.strip_prefix("range: bytes=") {
                from = Some(range.trim_end_matches('-').parse().unwrap());
            }
            if header.is_empty() {
                break;
            }
        }
        let (file, trick) = {
            let mut state = state.lock().unwrap();
            state.requests.push(path.clone());
            state.ranges.extend(from);
            let file = state.files.get(&path).cloned();
            let trick = state
                .tricks
                .iter_mut()
                .find(|(suffix, _)| path.ends_with(suffix.as_str()));
            let trick = trick.map(|(_, trick)| {
                let now = trick.clone();
                match trick {
                    Trick::StatusFor(_, times) => *times = times.saturating_sub(1),
                    // Once; what comes after that is about the rest.
                    Trick::CutAt(at, Rest::Honest | Rest::Whole | Rest::Misnamed | Rest::Flipped) if from.is_none() => {
                        *at = usize::MAX;
                    }
                    _ => {}
                }
                now
            });
            if let Some(Trick::Then(files)) = &trick {
                state.files = files.clone();
                state.tricks.clear();
            }
            (file, trick)
        };
        if let Some(Trick::Late(time)) = trick {
            let began = Instant::now();
            std::thread::sleep(time);
            // Before the first byte: whoever asked cannot have begun anything else.
            state.lock().unwrap().spans.push((began, Instant::now()));
        }
        if !answer(stream, file, from, trick)? {
            return Ok(());
        }
    }
}

/// Whether the connection may be used again.
fn answer(
    mut out: &TcpStream,
    file: Option<Vec<u8>>,
    from: Option<usize>,
    trick: Option<Trick>,
) -> std::io::Result<bool> {
    if let (Some(from), Some(file)) = (from, &file) {
        let rest = match trick {
            Some(Trick::CutAt(_, rest)) => rest,
            None => Rest::Honest,
            Some(_) => Rest::Whole,
        };
        if rest != Rest::Whole {
            return the_rest(out, file, from, rest);
        }
    }
    let status = match &trick {
        Some(Trick::Status(status) | Trick::StatusFor(status, 1..)) => *status,
        Some(Trick::Redirect(to)) => {
            write!(out, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        _ if file.is_none() => 404,
        _ => 200,
    };
    if status != 200 {
        write!(out, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    let mut bytes = file.unwrap_or_default();
    let mut length = bytes.len() as u64;
    match &trick {
        Some(Trick::Announced(other)) => length = *other,
        Some(Trick::Flipped) => bytes.iter_mut().for_each(|b| *b ^= 1),
        _ => {}
    }
    if matches!(trick, Some(Trick::Endless)) {
        write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            out.write_all(&[b'x'; 65536])?;
        }
    }
    write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
    match trick {
        Some(Trick::CutAt(count, _)) if count < bytes.len() => {
            out.write_all(&bytes[..count])?;
            return Ok(false);
        }
        Some(Trick::Truncated(count)) => {
            out.write_all(&bytes[..count])?;
            return Ok(false);
        }
        Some(Trick::Behind(other, suffix)) => {
            let half = bytes.len() / 2;
            out.write_all(&bytes[..half])?;
            let asked = |_| {
                std::thread::sleep(Duration::from_millis(100));
                let state = other.state.lock().unwrap();
                state.requests.iter().any(|path| path.ends_with(&suffix))
            };
            if !(0..200).any(asked) {
                return Ok(false);
            }
            out.write_all(&bytes[half..])?;
        }
        Some(Trick::Stalled) => {
            out.write_all(&bytes[..1])?;
            std::thread::sleep(Duration::from_secs(5));
            return Ok(false);
        }
        Some(Trick::Dripping) => {
            for byte in bytes {
                out.write_all(&[byte])?;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        _ => out.write_all(&bytes)?,
    }
    Ok(true)
}

fn the_rest(mut out: &TcpStream, file: &[u8], from: usize, how: Rest) -> std::io::Result<bool> {
    let mut rest = file[from..].to_vec();
    let (length, size) = (rest.len(), file.len());
    let mut named = from;
    match how {
        Rest::Refused => {
            write!(out, "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
        Rest::Misnamed => named += 1,
        Rest::Flipped => rest.iter_mut().for_each(|b| *b ^= 1),
        Rest::CutAgain => rest.truncate(1),
        Rest::Honest | Rest::Whole => {}
    }
    let last = size - 1;
    write!(
        out,
        "HTTP/1.1 206 Partial\r\nContent-Range: bytes {named}-{last}/{size}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    out.write_all(&rest)?;
    Ok(rest.len() == length)
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request, its path sent as it is.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let split = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned()));
    Answer {
        status,
        headers: lines.filter_map(split).collect(),
        body: bytes[at + 4..].to_vec(),
    }
}

/// `GET`.
pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &[])
}
