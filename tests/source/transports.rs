//! The transports that a network has: smart HTTP, HTTPS with a CA of one's own, and SSH give the bytes that a folder
//! gives. What Git reads of the machine (its CA certificates, its `ssh`) is replaced in a world of the test's own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use assay::domain::Coded as _;

use super::maker::{Maker, reference};

/// The system's own list of CAs, which `update-ca-certificates` writes.
const SYSTEM_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Path, tls: Option<&Path>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/source/git-http.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(folder).stdout(Stdio::piped());
        if let Some(keys) = tls {
            command.args([keys.join("server.pem"), keys.join("server.key")]);
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().unwrap();
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A CA, and a certificate of it for `localhost`.
fn certificates(maker: &Maker) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=ours \
                  -keyout ca.key -out ca.pem 2>/dev/null && \
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
                  -keyout server.key -out server.csr 2>/dev/null && \
                  printf 'subjectAltName=DNS:localhost' > names && \
                  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -extfile names \
                  -out server.pem 2>/dev/null";
    maker.run_in(maker.path("").to_str().unwrap(), "sh", &["-euc", script]);
}

/// What a fetch gives where `ours` lies in the place of one of the machine's files: the object that the tag names, or
/// the code of the error.
fn in_its_own_world(maker: &Maker, ours: &Path, place: &str, url: &str) -> String {
    let script = format!(
        "mount --bind {} {place} && exec {} --exact source::transports::inside --nocapture",
        ours.display(),
        std::env::current_exe().unwrap().display()
    );
    let mut command = Command::new("unshare");
    if crate::environment::fixture::own_uid() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-euc", &script]);
    let cache = maker.path(&format!("cache-{}", url.len()));
    let output = command
        .env("ASSAY_TEST_FETCH", url)
        .env("ASSAY_TEST_CACHE", &cache)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let gave = said
        .lines()
        .find_map(|line| line.split_once("gave "))
        .map(|(_, gave)| gave.to_owned());
    let _ = std::fs::remove_dir_all(cache);
    gave.unwrap_or_else(|| panic!("{output:?}"))
}

/// Not a test of its own: what `in_its_own_world` runs.
#[test]
fn inside() {
    let (Ok(url), Ok(cache)) = (std::env::var("ASSAY_TEST_FETCH"), std::env::var("ASSAY_TEST_CACHE")) else {
        return;
    };
    let tag = reference("refs/tags/v1.0");
    match assay::source::fetch(&url, &[tag], Path::new(&cache)) {
        Ok(repository) => {
            let id = Command::new("git")
                .arg("--git-dir")
                .arg(repository.folder())
                .args(["rev-parse", "refs/tags/v1.0"])
                .output()
                .unwrap();
            println!("gave {}", String::from_utf8(id.stdout).unwrap().trim());
        }
        Err(error) => println!("gave {} {error}", error.code()),
    }
}

#[test]
fn smart_http_gives_the_same_bytes_and_redirects_lead_nowhere() {
    let maker = Maker::native();
    let tag = maker.tag("v1.0");
    let (declaration, package) = maker.declare(&tag).unwrap();
    let clone = maker.path("clone.git");
    maker.run_in(
        "/",
        "git",
        &["clone", "-q", "--mirror", &maker.url(), clone.to_str().unwrap()],
    );
    let server = Server::start(&maker.path(""), None);
    let url = format!("http://127.0.0.1:{}/clone.git", server.port);
    let (again, same) = maker.declare_from(&url, &tag, "smart").unwrap();
    assert_eq!((again, same), (declaration, package));
    let moved = format!("http://127.0.0.1:{}/moved/clone.git", server.port);
    let error = maker.declare_from(&moved, &tag, "moved").unwrap_err();
    assert_eq!(error.code(), "E-SRC-002", "{error}");
    assert!(error.hint().unwrap().contains("redirects are not followed"), "{error}");
}

#[test]
fn https_trusts_the_machines_own_cas_and_no_other() {
    let maker = Maker::native();
    let id = maker.git(&["rev-parse", maker.tag("v1.0").as_str()]);
    let clone = maker.path("clone.git");
    maker.run_in(
        "/",
        "git",
        &["clone", "-q", "--mirror", &maker.url(), clone.to_str().unwrap()],
    );
    certificates(&maker);
    let server = Server::start(&maker.path(""), Some(&maker.path("")));
    let url = format!("https://localhost:{}/clone.git", server.port);
    assert_eq!(
        in_its_own_world(&maker, &maker.path("ca.pem"), SYSTEM_CAS, &url),
        id.trim()
    );
    // The same server, of which nobody here has heard.
    let stranger = maker.path("stranger.pem");
    std::fs::write(&stranger, "").unwrap();
    let said = in_its_own_world(&maker, &stranger, SYSTEM_CAS, &url);
    assert!(said.starts_with("E-SRC-002"), "{said}");
    let other_name = format!("https://127.0.0.1:{}/clone.git", server.port);
    let said = in_its_own_world(&maker, &maker.path("ca.pem"), SYSTEM_CAS, &other_name);
    assert!(said.starts_with("E-SRC-002"), "{said}");
}

/// The machine's own `ssh` is replaced by one that runs the command here, as a server would: what is shown is what Git
/// asks of it, and that it is never asked to prompt.
#[test]
fn ssh_is_asked_for_the_repository_and_never_prompts() {
    let maker = Maker::native();
    let id = maker.git(&["rev-parse", maker.tag("v1.0").as_str()]);
    let ssh = maker.path("ssh");
    let script = "#!/bin/sh\n[ \"$1\" = -G ] && exit 1\nseen=\nwhile [ $# -gt 1 ]; do [ \"$1\" = -oBatchMode=yes ] && seen=1; host=$2; \
                  shift; done\n[ -n \"$seen\" ] || exit 77\nexport HOME=/nonexistent\nexec sh -c \"$1\"\n";
    std::fs::write(&ssh, script).unwrap();
    maker.run("chmod", &["755", ssh.to_str().unwrap()]);
    let url = format!("ssh://git@localhost{}", maker.url());
    assert_eq!(in_its_own_world(&maker, &ssh, "/usr/bin/ssh", &url), id.trim());
}

/// A real server at a port of its own, as whoever runs the tests, with keys of its own.
struct Sshd {
    child: Child,
    port: u16,
    /// What `~/.ssh` is to be: the server's key is known, and ours is let in.
    home: std::path::PathBuf,
}

impl Sshd {
    fn start(maker: &Maker) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let home = maker.path("ssh");
        std::fs::create_dir(&home).unwrap();
        let folder = home.to_str().unwrap();
        let script = "umask 077; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f id_ed25519; \
                      cp id_ed25519.pub authorized; printf '[127.0.0.1]:%s %s' \"$1\" \"$(cat host.pub)\" > known_hosts";
        maker.run_in(folder, "sh", &["-euc", script, "sh", &port.to_string()]);
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        );
        std::fs::write(home.join("config"), config).unwrap();
        if crate::environment::fixture::own_uid() == 0 {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let log = std::fs::File::create(home.join("log")).unwrap();
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(home.join("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let said = std::fs::read_to_string(home.join("log")).unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{said}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { child, port, home }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_ssh_server_gives_the_same_object_to_who_knows_it_and_is_let_in() {
    let maker = Maker::native();
    let id = maker.git(&["rev-parse", maker.tag("v1.0").as_str()]);
    let server = Sshd::start(&maker);
    // Where ssh looks: the home that the list of users says, whatever `HOME` is.
    let user = maker.run_in("/", "id", &["-un"]);
    let ours = maker.path("home");
    let users = maker.path("passwd");
    let script = "awk -F: -v OFS=: -v user=\"$1\" -v home=\"$2\" '$3 == 0 || $1 == user { $6 = home } 1' /etc/passwd";
    let text = maker.run_in("/", "sh", &["-euc", script, "sh", &user, ours.to_str().unwrap()]);
    std::fs::write(&users, text + "\n").unwrap();
    let gives = |known: bool, let_in: bool| {
        let _ = std::fs::remove_dir_all(&ours);
        std::fs::create_dir_all(ours.join(".ssh")).unwrap();
        for (name, wanted) in [("known_hosts", known), ("id_ed25519", let_in)] {
            if wanted {
                std::fs::copy(server.home.join(name), ours.join(".ssh").join(name)).unwrap();
            }
        }
        let url = format!("ssh://{user}@127.0.0.1:{}{}", server.port, maker.url());
        in_its_own_world(&maker, &users, "/etc/passwd", &url)
    };
    assert_eq!(gives(true, true), id.trim());
    for (known, let_in) in [(false, true), (true, false)] {
        let said = gives(known, let_in);
        assert!(said.starts_with("E-SRC-002"), "{said}");
    }
}
