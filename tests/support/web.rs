//! A web server for a folder, as plain as a static host: files, `Last-Modified`, 304, 404; and a redirect for each file
//! `<path>.redirect`, to what it says.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use assay::domain::Timestamp;

/// Serves until the test process ends.
pub(crate) struct Web {
    pub(crate) url: String,
}

impl Web {
    pub(crate) fn serve(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = folder.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let folder = folder.clone();
                let _ = client.set_nodelay(true);
                std::thread::spawn(move || answer(client, &folder));
            }
        });
        Self { url }
    }
}

fn answer(client: TcpStream, folder: &Path) -> Option<()> {
    let mut writer = client.try_clone().ok()?;
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    loop {
        let request = lines.next()?;
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let path = request
            .split(' ')
            .nth(1)?
            .trim_start_matches('/')
            .split('?')
            .next()?
            .replace("%7e", "~")
            .replace("%2b", "+");
        let since = headers
            .iter()
            .find(|line| line.to_ascii_lowercase().starts_with("if-modified-since:"))
            .and_then(|line| Timestamp::parse_release_date(line.split_once(':')?.1.trim()).ok());
        let file = folder.join(&path);
        if let Ok(to) = fs::read_to_string(folder.join(format!("{path}.redirect"))) {
            write!(
                writer,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            )
            .ok()?;
            continue;
        }
        let Some(bytes) = fs::read(&file).ok().filter(|_| !path.contains("..")) else {
            write!(writer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
            continue;
        };
        let modified = Timestamp::from_unix(fs::metadata(&file).ok()?.mtime());
        if since.is_some_and(|since| since >= modified) {
            write!(writer, "HTTP/1.1 304 Not Modified\r\n\r\n").ok()?;
            continue;
        }
        let (date, size) = (modified.http_date(), bytes.len());
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nLast-Modified: {date}\r\n\r\n"
        )
        .ok()?;
        writer.write_all(&bytes).ok()?;
    }
}
