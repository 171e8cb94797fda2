//! A server that speaks S3 over HTTP: atomic conditional writes, uploads in parts, listings in pages; and faults.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use assay::domain::Timestamp;

use super::http::listen;
use super::repository::now;

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused with this status, and nothing was done.
    Refused(u16),
    /// It is done, and answered with this status.
    DoneAndRefused(u16),
    /// It is done, and the connection ends.
    DoneAndGone,
    /// Of an object half is sent; of all else nothing.
    Half,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// When each was last written.
    written: HashMap<String, Timestamp>,
    uploads: HashMap<String, (String, BTreeMap<u32, Vec<u8>>)>,
    /// Method and path of each request.
    requests: Vec<String>,
    /// Each so many-th request goes wrong so.
    faults: Option<(usize, Fault)>,
    unsigned: usize,
}

impl State {
    fn put(&mut self, key: &str, body: Vec<u8>) {
        self.written.insert(key.to_owned(), now());
        self.objects.insert(key.to_owned(), body);
    }

    fn written(&self, key: &str) -> Timestamp {
        self.written.get(key).copied().unwrap_or_else(now)
    }
}

/// The server, with one bucket.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// How many objects a page of a listing has.
const PAGE: usize = 7;
const BUCKET: &str = "/bucket/";

impl S3 {
    pub(crate) fn start() -> Self {
        let state = Arc::default();
        let address = listen(&state, converse);
        Self { address, state }
    }

    /// What clients find in their environment.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "nowhere-1".to_owned()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// The base URL, without the bucket.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on each so many-th request goes wrong, of those that are signed: not of clients that read what lies there.
    pub(crate) fn fail_each(&self, turn: usize, fault: Fault) {
        self.state.lock().unwrap().faults = Some((turn, fault));
    }

    pub(crate) fn honest(&self) {
        self.state.lock().unwrap().faults = None;
    }

    /// All objects.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().objects.clone()
    }

    /// How many requests carried no signature.
    pub(crate) fn unsigned(&self) -> usize {
        self.state.lock().unwrap().unsigned
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }
}

struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn of(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn xml(text: String) -> Self {
        Self {
            body: text.into_bytes(),
            ..Self::of(200)
        }
    }

    fn etag(mut self, bytes: &[u8]) -> Self {
        self.headers.push(("ETag", etag(bytes)));
        self
    }
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", assay::domain::Sha256::of(bytes).hex())
}

fn converse(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let head = request.method == "HEAD";
        let (answer, fault, written) = {
            let mut state = state.lock().unwrap();
            state.requests.push(format!("{} {}", request.method, request.key));
            state.unsigned += usize::from(!request.headers.contains_key("authorization"));
            let count = state.requests.len();
            let fault = state
                .faults
                .filter(|(turn, _)| count.is_multiple_of(*turn) && request.headers.contains_key("authorization"))
                .map(|(_, fault)| fault);
            let answer = match fault {
                Some(Fault::Refused(status)) => Answer::of(status),
                Some(Fault::DoneAndRefused(status)) => {
                    handle(&mut state, &request);
                    Answer::of(status)
                }
                _ => handle(&mut state, &request),
            };
            let written = state.written(&request.key);
            (answer, fault, written)
        };
        if fault == Some(Fault::DoneAndGone) {
            return Ok(());
        }
        let mut text = format!(
            "HTTP/1.1 {} x\r\nLast-Modified: {}\r\n",
            answer.status,
            written.http_date()
        );
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if answer.status != 204 {
            text.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        text.push_str("\r\n");
        let mut writer = stream;
        writer.write_all(text.as_bytes())?;
        if !head {
            let half = fault == Some(Fault::Half);
            let end = if half { answer.body.len() / 2 } else { answer.body.len() };
            writer.write_all(&answer.body[..end])?;
            if half {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    let path = decoded(path);
    Ok(Some(Request {
        method,
        key: path.strip_prefix(BUCKET).unwrap_or_default().to_owned(),
        query: query.split('&').filter(|p| !p.is_empty()).map(pair).collect(),
        headers,
        body,
    }))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

fn handle(state: &mut State, request: &Request) -> Answer {
    let Request {
        key, query, headers, ..
    } = request;
    let upload = query.get("uploadId");
    match request.method.as_str() {
        "PUT" if upload.is_some() => {
            let Some((_, parts)) = upload.and_then(|id| state.uploads.get_mut(id)) else {
                return Answer::of(404);
            };
            parts.insert(query["partNumber"].parse().unwrap(), request.body.clone());
            Answer::of(200).etag(&request.body)
        }
        "PUT" => {
            if headers.get("if-none-match").is_some_and(|what| what == "*") && state.objects.contains_key(key) {
                return Answer::of(412);
            }
            let body = match headers.get("x-amz-copy-source") {
                None => request.body.clone(),
                Some(source) => {
                    let source = decoded(source);
                    // As real ones do.
                    if source.trim_start_matches('/').strip_prefix("bucket/") == Some(key) {
                        return Answer::of(400);
                    }
                    match state
                        .objects
                        .get(source.strip_prefix(BUCKET.trim_start_matches('/')).unwrap_or(&source))
                    {
                        Some(bytes) => bytes.clone(),
                        None => match state.objects.get(source.strip_prefix(BUCKET).unwrap_or_default()) {
                            Some(bytes) => bytes.clone(),
                            None => return Answer::of(404),
                        },
                    }
                }
            };
            let tag = etag(&body);
            state.put(key, body);
            let copied = format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>");
            let mut answer = match headers.contains_key("x-amz-copy-source") {
                true => Answer::xml(copied),
                false => Answer::of(200),
            };
            answer.headers.push(("ETag", tag));
            answer
        }
        "GET" if query.contains_key("list-type") => list(state, query),
        "GET" | "HEAD" => get(state, request),
        "DELETE" => {
            match upload {
                Some(id) => drop(state.uploads.remove(id)),
                None => drop(state.objects.remove(key)),
            }
            Answer::of(204)
        }
        "POST" if query.contains_key("delete") => {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            let names = text
                .split("<Key>")
                .skip(1)
                .filter_map(|rest| rest.split("</Key>").next());
            let mut done = String::new();
            for name in names {
                state.objects.remove(name);
                done.push_str(&format!("<Deleted><Key>{name}</Key></Deleted>"));
            }
            Answer::xml(format!("<DeleteResult>{done}</DeleteResult>"))
        }
        "POST" if query.contains_key("uploads") => {
            let id = format!("upload-{}", state.requests.len());
            state.uploads.insert(id.clone(), (key.clone(), BTreeMap::new()));
            Answer::xml(format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ))
        }
        "POST" => {
            let Some((key, parts)) = upload.and_then(|id| state.uploads.remove(id)) else {
                return Answer::of(404);
            };
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            let tag = etag(&whole);
            state.put(&key, whole);
            Answer::xml(format!(
                "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
            ))
        }
        _ => Answer::of(405),
    }
}

fn get(state: &State, request: &Request) -> Answer {
    let Some(bytes) = state.objects.get(&request.key) else {
        return Answer::of(404);
    };
    let mut answer = Answer {
        body: bytes.clone(),
        ..Answer::of(200)
    }
    .etag(bytes);
    if let Some(range) = request
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes="))
    {
        let (from, to) = range.split_once('-').unwrap();
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(bytes.len(), |to: usize| (to + 1).min(bytes.len()));
        answer.status = 206;
        answer.body = bytes[from..to].to_vec();
        let range = format!("bytes {from}-{}/{}", to - 1, bytes.len());
        answer.headers.push(("Content-Range", range));
    }
    answer
}

fn list(state: &State, query: &BTreeMap<String, String>) -> Answer {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let after = query.get("continuation-token").map_or("", String::as_str);
    let mut all = state
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix) && (after.is_empty() || key.as_str() > after))
        .peekable();
    let (mut text, mut last) = (String::new(), "");
    let mut folder = "";
    for (key, bytes) in all.by_ref().take(PAGE) {
        last = key;
        let below = key.strip_prefix(prefix).unwrap_or_default();
        if query.contains_key("delimiter")
            && let Some((inner, _)) = below.split_once('/')
        {
            if folder != inner {
                folder = inner;
                text.push_str(&format!(
                    "<CommonPrefixes><Prefix>{prefix}{inner}/</Prefix></CommonPrefixes>"
                ));
            }
            continue;
        }
        text.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>{}</LastModified><ETag>{}</ETag></Contents>",
            bytes.len(),
            state.written(key).rfc3339(),
            etag(bytes)
        ));
    }
    if all.peek().is_some() {
        text.push_str(&format!("<NextContinuationToken>{last}</NextContinuationToken>"));
    }
    Answer::xml(format!("<ListBucketResult>{text}</ListBucketResult>"))
}
