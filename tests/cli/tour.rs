//! The tour in README.md: every command of it, run as it stands, on real Debian data, with the real
//! apt, mmdebstrap and Git.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assay::domain::Sha256;
use assay::environment::Lock;
use assay::host::apt_sources;

/// The shell before the tour: the first failure ends it, and the server with it.
const START: &str = "set -eu\nserver=\ntrap '[ -z \"$server\" ] || kill \"$server\"' EXIT\n";

/// The server stays while the rest runs, which must find it.
const WAIT: &str = "server=$!\nuntil grep -qs ^serving ../serve.log; do kill -0 \"$server\"; sleep 0.1; done\n";

/// One block of commands.
struct Block<'a> {
    /// What its mark says: `<!-- tour: NAME -->`.
    name: &'a str,
    commands: &'a str,
}

/// The blocks of the tour, in order. There is none without a mark.
fn blocks(readme: &str) -> Vec<Block<'_>> {
    let (_, tour) = readme.split_once("\n## A tour\n").unwrap();
    let (tour, _) = tour.split_once("\n## ").unwrap();
    let parts: Vec<&str> = tour.split("```").collect();
    let pairs = parts.chunks_exact(2);
    pairs
        .map(|pair| {
            let mark = pair[0].trim_end().rsplit('\n').next().unwrap();
            let name = mark
                .strip_prefix("<!-- tour: ")
                .and_then(|rest| rest.strip_suffix(" -->"));
            Block {
                name: name.unwrap_or_else(|| panic!("a block of the tour without a mark: {}", pair[1])),
                commands: pair[1].strip_prefix("sh\n").unwrap(),
            }
        })
        .collect()
}

/// The one script that all blocks make.
fn script(blocks: &[Block<'_>]) -> String {
    let mut script = START.to_owned();
    for block in blocks {
        let commands = block.commands.trim_end();
        script.push_str(&match block.name {
            "server" => format!("{commands} > ../serve.log &\n{WAIT}"),
            _ => format!("{commands}\n"),
        });
    }
    script
}

/// Where the tour is run: `sources/` has the developer's repository, `home/` the key that signed its tag.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        // Not below /tmp, which may be memory: chroots are large.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let place = Self(folder);
        let made = Command::new(root().join("tests/demo/make-sources"))
            .arg(place.0.join("sources"))
            .arg("assay-greeting")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs::create_dir_all(place.0.join("home/.ssh")).unwrap();
        // A folder of its own: beside the program lie others that cargo built.
        fs::create_dir(place.0.join("bin")).unwrap();
        std::os::unix::fs::symlink(super::ASSAY, place.0.join("bin/assay")).unwrap();
        fs::copy(
            place.0.join("sources/keys/signer.pub"),
            place.0.join("home/.ssh/id_ed25519.pub"),
        )
        .unwrap();
        place
    }

    fn run(&self, script: &str) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new("sh")
            .args(["-c", script])
            .current_dir(&self.0)
            .env("PATH", format!("{}:{path}", self.0.join("bin").display()))
            .env("HOME", self.0.join("home"))
            .output()
            .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // An ordinary user's chroots have files of subordinate ids.
        if let Err(error) = assay::rebuild::remove_work_folder(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The Debian that this machine's apt follows, and `init` therefore mirrors.
fn codename() -> String {
    let sources = apt_sources().unwrap();
    let debian = sources
        .iter()
        .find(|s| s.origin == "Debian" && s.label == "Debian" && !s.codename.contains('-'));
    debian
        .expect("this machine's apt follows no Debian suite")
        .codename
        .clone()
}

#[test]
fn the_commands_of_the_readme_work() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut script = script(&blocks(&readme));
    let place = Place::new();
    // What the README cannot know, and all that is not run as it stands there.
    let repository = place.0.join("sources/assay-greeting").display().to_string();
    for (written, here) in [
        ("127.0.0.1:8080", format!("127.0.0.1:{}", free_port())),
        ("https://git.example.org/assay-greeting.git", repository),
        (" bookworm ", format!(" {} ", codename())),
    ] {
        assert!(script.contains(written), "{written} is no longer in the tour");
        script = script.replace(written, &here);
    }
    for verb in [
        "init",
        "mirror",
        "snapshot",
        "status",
        "serve",
        "sources",
        "key",
        "declare",
        "env lock",
        "env build",
        "rebuild",
        "admit",
        "why",
        "verify",
        "source-of",
        "built-with",
    ] {
        let command = format!("assay {verb} ");
        assert!(
            format!("{script} ").replace('\n', " ").contains(&command),
            "{command} is no longer in the tour"
        );
    }

    let run = place.run(&script);
    let (out, err) = (super::text(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}");
    for said in [
        " new\n",
        "assay-greeting alice/laptop built",
        "assay-greeting bob/laptop built",
        "assay-greeting 1.0 admitted in custom@",
        "verified: 2 snapshots",
        "hello 2.1", // what Debian calls it, in any release of these years
        "imported from debian@",
        "freeze exception",
    ] {
        assert!(out.contains(said), "{said:?} is not in\n{out}\n{err}");
    }
    assert!(!out.contains("REFUTED") && !out.contains("unknown  "), "{out}");

    // What a build VM and those who install got.
    let site = place.0.join("site");
    let source = fs::read_to_string(site.join("assay.sources")).unwrap();
    assert!(source.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{source}");
    let listed = Command::new("tar")
        .arg("--list")
        .arg("--file")
        .arg(site.join("chroot.tar"))
        .output()
        .unwrap();
    assert!(
        super::text(&listed.stdout)
            .lines()
            .any(|line| line == "./usr/bin/apt-get")
    );
    let package = site.join("store/custom/pool/main/a/assay-greeting/assay-greeting_1.0_all.deb");
    assert!(package.is_file(), "{out}");
    engines_of_others(&place, &package);
    what_a_build_had_is_made_again(&place, &package);
}

/// The environment of a build out of its `.buildinfo`: locked, made again from a store that is only served, byte for byte,
/// and what is built in it is the same package.
fn what_a_build_had_is_made_again(place: &Place, package: &Path) {
    let site = place.0.join("site");
    let (mut server, url) = super::serve(&site);
    let lock = "repos/custom/assay-greeting.lock";
    let run = place.run(&format!(
        "set -eu; cd site; cp {lock} ../resolved.lock; assay rebuild assay-greeting --output ../first\n\
         assay env lock assay-greeting --buildinfo ../first/assay-greeting_1.0_*.buildinfo\n\
         cp {lock} ../recorded.lock; cd ..; mkdir elsewhere; cd elsewhere\n\
         assay env recreate ../recorded.lock --url {url} --output again.tar\n\
         cd ../site; assay rebuild assay-greeting --output ../second"
    ));
    let _ = server.kill();
    let _ = server.wait();
    assert!(
        run.status.success(),
        "{}{}",
        super::text(&run.stdout),
        super::text(&run.stderr)
    );
    let read = |name: &str| -> Lock { serde_json::from_slice(&fs::read(place.0.join(name)).unwrap()).unwrap() };
    let (resolved, recorded) = (read("resolved.lock"), read("recorded.lock"));
    let again = Sha256::of(&fs::read(place.0.join("elsewhere/again.tar")).unwrap());
    assert_eq!(recorded.chroot.tar_sha256, again, "byte for byte what was locked");
    // All that was there, and beside it only what no .buildinfo names and every chroot may have.
    let missing = resolved
        .packages
        .iter()
        .find(|package| !recorded.packages.contains(package));
    assert!(missing.is_none(), "{missing:?}");
    let extras = &recorded.buildinfo.as_ref().unwrap().extras;
    for package in &recorded.packages {
        let known = resolved.packages.contains(package) || extras.contains(&package.package);
        assert!(known, "{} is recorded nowhere", package.package);
    }
    for built in ["first", "second"] {
        let built = place.0.join(built).join("assay-greeting_1.0_all.deb");
        assert_eq!(fs::read(built).unwrap(), fs::read(package).unwrap());
    }
}

const ADD_BUILDER: &str = r#"
set -eu
cd site
key=$(assay key new builder)
cat >> policies/default.toml <<END

[[builder]]
id = "$operator/ci"
operator = "$operator"
hosting = "elsewhere"
public-key = "$(cat policies/keys/ed25519-${key#ed25519:}.pub)"
END
"#;

/// A builder elsewhere has what Git has, its own key, and the chroot that the lock gives; not the store.
const MOVE_BUILDER: &str = r#"
mkdir -p ../machine/cache/chroots
cp --archive assay.toml repos policies ../machine/
install -d -m 700 ../machine/keys
mv keys/*${key#ed25519:}* ../machine/keys/
cp cache/chroots/*.tar ../machine/cache/chroots/
assay rebuild assay-greeting --plan --issue --json
"#;

/// The examples for job engines, in the site that the tour made: a loop on this machine, a builder on another
/// one that answers by files, and a worker of rebuilderd.
fn engines_of_others(place: &Place, package: &Path) {
    let examples = root().join("docs/examples");
    let ran = |script: &str| {
        let run = place.run(script);
        let (out, err) = (super::text(&run.stdout), super::text(&run.stderr));
        assert!(run.status.success(), "{script}\n{out}\n{err}");
        out
    };
    let looped = ran(&format!(
        "operator=dave\n{ADD_BUILDER}\n{}/rebuild-loop.sh assay-greeting",
        examples.display()
    ));
    assert!(looped.contains("assay-greeting dave/ci built"), "{looped}");
    assert!(looped.contains("assay-greeting 1.0 admitted"), "{looped}");

    let jobs = ran(&format!("operator=carol\n{ADD_BUILDER}{MOVE_BUILDER}"));
    let job: serde_json::Value = serde_json::from_str(jobs.lines().last().unwrap()).unwrap();
    assert_eq!(
        (jobs.lines().count(), &job["builder"]),
        (1, &"carol/ci".into()),
        "{jobs}"
    );
    let word = |field: &str| job[field].as_str().unwrap().to_owned();
    let answered = ran(&format!(
        "SITE=machine SOURCE={} ARCHIVE={} BUILDER={} NONCE={} RUN={} OUTPUT=answer {}/builder.sh",
        word("source"),
        word("archive"),
        word("builder"),
        word("nonce"),
        job["run"],
        examples.display()
    ));
    assert!(answered.contains("assay-greeting carol/ci built"), "{answered}");
    let stored = ran("find machine/store -type f 2>/dev/null | wc -l");
    assert_eq!(stored, "0\n", "the builder writes into no store");
    let taken = ran("cd site && assay rebuild assay-greeting --take ../answer && assay admit assay-greeting");
    assert!(
        taken.contains("answer record ") && taken.contains("1.0 admitted"),
        "{taken}"
    );
    let rebuilderd = root().join("share/rebuilderd/rebuilder-assay.sh");
    ran(&format!(
        "mkdir out && printf 'Format: 1.0\\nSource: assay-greeting\\nVersion: 1.0\\n' > asked.buildinfo && \
         REBUILDERD_OUTDIR=$PWD/out ASSAY_SITE=$PWD/site {} asked.buildinfo",
        rebuilderd.display()
    ));
    let built = place.0.join("out/assay-greeting_1.0_all.deb");
    assert_eq!(fs::read(built).unwrap(), fs::read(package).unwrap());
}
