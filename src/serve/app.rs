//! From a URL to an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};

use super::Overlays;
use super::answer::{Caching, line, refusal, send, set};
use super::checked::Checked;
use super::meant::Meant;
use super::object::Object;
use super::pages;
use super::route::{NO_ARCHIVE, NO_SNAPSHOT, Target, route};
use crate::domain::{ArchiveName, Coded, Digest, Kind, PoolPath, RelPath, SnapshotName, TagName, Timestamp};
use crate::snapshot::{Chain, SnapshotError};
use crate::store::{Key, Store, StoreError};
use crate::upstream::{PullThrough, UpstreamError};

/// What answers need.
#[derive(Debug)]
pub(super) struct App {
    pub(super) store: Arc<dyn Store>,
    pub(super) archives: BTreeMap<ArchiveName, Archive>,
    /// The one that is at the root, too.
    pub(super) root: Option<ArchiveName>,
    pub(super) overlays: Overlays,
    pub(super) started: Timestamp,
}

/// One archive that is served.
#[derive(Debug)]
pub(super) struct Archive {
    /// What pool files are, and where those come from that the store lacks.
    pool: PullThrough,
    /// Pool files that were hashed.
    checked: Checked,
    /// Its snapshots, as they were when last looked at.
    chain: Mutex<Option<Arc<Chain>>>,
    /// What names meant when the newest snapshot had this number.
    names: Mutex<(u64, BTreeMap<String, Arc<Meant>>)>,
}

impl Archive {
    pub(super) fn new(pool: PullThrough) -> Self {
        Self {
            pool,
            checked: Checked::default(),
            chain: Mutex::default(),
            names: Mutex::default(),
        }
    }
}

/// How many names are remembered for each archive.
const NAMES: usize = 1000;

/// What is sent, and how.
struct Found {
    object: Object,
    media: &'static str,
    caching: Caching,
}

/// Why nothing is sent, and what to do next, when that is known.
struct Refused(StatusCode, String, String);

type Result<T> = std::result::Result<T, Refused>;

/// Answers one request.
pub(super) async fn handle(State(app): State<Arc<App>>, method: Method, uri: Uri, asked: HeaderMap) -> Response<Body> {
    let mut answer = answer(app, &method, &uri, &asked).await;
    set(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut answer, header::CONTENT_SECURITY_POLICY, "default-src 'none'");
    tracing::debug!(%method, %uri, status = answer.status().as_u16());
    answer
}

async fn answer(app: Arc<App>, method: &Method, uri: &Uri, asked: &HeaderMap) -> Response<Body> {
    if !matches!(method.as_str(), "GET" | "HEAD") {
        let mut answer = line(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered");
        set(&mut answer, header::ALLOW, "GET, HEAD");
        return answer;
    }
    let path = uri.path().to_owned();
    // The store blocks, and so does a download.
    let found = tokio::task::spawn_blocking(move || app.asked(&path)).await;
    match found {
        Ok(Ok(found)) => send(method, asked, found.object, found.media, found.caching).await,
        Ok(Err(Refused(status, why, next))) => refusal(status, &why, &next),
        Err(_) => line(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a bug of the server; its log says more",
        ),
    }
}

impl App {
    /// What is at a path. Files of a flat archive at the root are in no folder that tells them from other archives.
    fn asked(&self, path: &str) -> Result<Found> {
        let served = |name: &ArchiveName| self.archives.contains_key(name);
        let why = match route(path, &served, self.root.as_ref()) {
            Ok(target) => return self.find(target),
            Err(why) => why,
        };
        let below = self.root.as_ref().map(|root| format!("/{root}{path}"));
        match below.map(|path| route(&path, &served, None)) {
            Some(Ok(target @ Target::Flat(..))) => match self.find(target) {
                Err(Refused(StatusCode::NOT_FOUND, ..)) => Err(not_found(why)),
                done => done,
            },
            _ => Err(not_found(why)),
        }
    }

    fn find(&self, target: Target) -> Result<Found> {
        match target {
            Target::Home => self.home(),
            Target::Archive(archive, name) => {
                if let Some(name) = name {
                    self.meant(&archive, &name)?;
                }
                self.of_archive(&archive)
            }
            Target::Snapshots => self.snapshots(),
            Target::Dists(archive, path) => self.of_head(&archive, &path),
            Target::SnapshotDists(archive, name, path) => self.of_snapshot(&archive, &name, &path),
            Target::Pool(archive, name, path) => {
                if let Some(name) = name {
                    self.meant(&archive, &name)?;
                }
                self.pool(&archive, &path)
            }
            Target::Provenance(archive, sha256) => {
                self.archive(&archive)?;
                self.object(
                    &Key::provenance(&archive, &sha256),
                    "text/plain; charset=utf-8",
                    Caching::Immutable,
                )
            }
            Target::State(archive, key) => {
                self.archive(&archive)?;
                self.object(&key, "application/json", Caching::Check)
            }
            Target::Trace(archive) => {
                self.archive(&archive)?;
                let key = key(&[archive.as_str(), "project", "trace", archive.as_str()])?;
                self.object(&key, "text/plain; charset=utf-8", Caching::Check)
            }
            Target::Overlay(digest, path) => self.overlay(&digest, &path),
            Target::Flat(archive, None, path) => {
                let direct = self.flat(&archive, &path);
                // A folder of a flat repository may be called as a tag is: then the file is its own.
                match (&direct, of_tag(&path)) {
                    (Err(Refused(StatusCode::NOT_FOUND, ..)), Some((tag, path))) => {
                        self.meant(&archive, &SnapshotName::Tag(tag))?;
                        self.flat(&archive, &path)
                    }
                    _ => direct,
                }
            }
            Target::Flat(archive, Some(name), path) => {
                self.meant(&archive, &name)?;
                self.flat(&archive, &path)
            }
            Target::OverlayPool(digest, archive, path) => {
                if !self.overlays.has(&digest) {
                    return Err(no_overlay());
                }
                let wanted = self.overlays.pool(&digest, &format!("{archive}/{path}"));
                let wanted = wanted.ok_or_else(|| not_found("this environment has no such file"))?;
                self.pool_file(&archive, &path, |_| Ok(Some(wanted)))
            }
        }
    }

    fn archive(&self, name: &ArchiveName) -> Result<&Archive> {
        self.archives.get(name).ok_or_else(|| not_found(NO_ARCHIVE))
    }

    /// The snapshots of an archive; read again only when there is a newer one.
    fn chain(&self, name: &ArchiveName) -> Result<Arc<Chain>> {
        let archive = self.archive(name)?;
        let mut known = archive.chain.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chain) = known.as_ref() {
            let next = Key::record(name, chain.next_number());
            if self.store.head(&next).map_err(store_failed)?.is_none() {
                return Ok(Arc::clone(chain));
            }
        }
        let chain = Arc::new(Chain::load(self.store.as_ref(), name).map_err(snapshot_failed)?);
        *known = Some(Arc::clone(&chain));
        Ok(chain)
    }

    /// What a name means. An instant may come to mean another snapshot when there is a newer one.
    fn meant(&self, archive: &ArchiveName, name: &SnapshotName) -> Result<Arc<Meant>> {
        let chain = self.chain(archive)?;
        let text = name.to_string();
        let mut known = self
            .archive(archive)?
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.0 != chain.len() || known.1.len() >= NAMES {
            *known = (chain.len(), BTreeMap::new());
        }
        if let Some(meant) = known.1.get(&text) {
            return Ok(Arc::clone(meant));
        }
        let edition = match chain.edition(self.store.as_ref(), name) {
            Ok(edition) => edition,
            Err(SnapshotError::NotFound { .. }) => return Err(self.no_snapshot(&chain, NO_SNAPSHOT)),
            Err(error @ SnapshotError::LetGo { .. }) => return Err(self.no_snapshot(&chain, &error.to_string())),
            Err(error) => return Err(snapshot_failed(error)),
        };
        let meant = Arc::new(Meant::of(&edition));
        known.1.insert(text, Arc::clone(&meant));
        Ok(meant)
    }

    /// There is no such snapshot, but others.
    fn no_snapshot(&self, chain: &Chain, why: &str) -> Refused {
        let next = pages::instead(self.store.as_ref(), chain).unwrap_or_default();
        Refused(StatusCode::NOT_FOUND, why.to_owned(), next)
    }

    /// A file below the `dists/` of the newest snapshot, where a suite has more than one name.
    fn of_head(&self, archive: &ArchiveName, path: &RelPath) -> Result<Found> {
        self.archive(archive)?;
        let direct = self.index(&key(&[archive.as_str(), "dists", path.as_str()])?, path);
        let Err(Refused(StatusCode::NOT_FOUND, ..)) = &direct else {
            return direct;
        };
        let Ok(meant) = self.meant(archive, &SnapshotName::Latest) else {
            return direct;
        };
        let Some((suite, rest)) = meant.suite_of(path.as_str()) else {
            return direct;
        };
        let other = key(&[archive.as_str(), "dists", suite.as_str(), rest])?;
        self.index(&other, path)
    }

    /// A file below the `dists/` of one snapshot: kept below the suite, by serial.
    fn of_snapshot(&self, archive: &ArchiveName, name: &SnapshotName, path: &RelPath) -> Result<Found> {
        let meant = self.meant(archive, name)?;
        let Some((suite, rest)) = meant.suite_of(path.as_str()) else {
            return Err(not_found(format!(
                "snapshot {} of {archive} has no such suite",
                meant.folder()
            )));
        };
        let rest = RelPath::new(rest).map_err(|_| not_found("the path is not one that an index can have"))?;
        let named = Key::dists_named(archive, suite, meant.folder(), &rest);
        match self.index(&named, &rest) {
            // Bytes by hash are the same in all snapshots.
            Err(Refused(StatusCode::NOT_FOUND, ..)) if is_by_hash(&rest) => {
                self.index(&Key::dists(archive, suite, &rest), &rest)
            }
            other => other,
        }
    }

    fn index(&self, key: &Key, path: &RelPath) -> Result<Found> {
        let caching = if is_by_hash(path) {
            Caching::Immutable
        } else {
            Caching::Check
        };
        let media = media_of(path.file_name());
        if matches!(path.file_name(), "InRelease" | "Release") {
            let object = Object::open_release(&self.store, key).map_err(store_failed)?;
            return Ok(Found {
                object: object.ok_or_else(|| missing(key))?,
                media,
                caching,
            });
        }
        self.object(key, media, caching)
    }

    fn pool(&self, archive: &ArchiveName, path: &PoolPath) -> Result<Found> {
        self.pool_file(archive, path, |pool| pool.find(path).map_err(fetch_failed))
    }

    /// A pool file that is what it has to be, as an index or the lock of an environment says.
    fn pool_file(
        &self,
        archive: &ArchiveName,
        path: &PoolPath,
        wanted: impl FnOnce(&PullThrough) -> Result<Option<Digest>>,
    ) -> Result<Found> {
        let key = Key::pool(archive, path);
        let Archive { pool, checked, .. } = self.archive(archive)?;
        pool.ensure(path).map_err(fetch_failed)?;
        let open = || self.object(&key, media_of(path.file_name()), Caching::Immutable);
        let mut found = open()?;
        if !checked.has(path, &found.object.stamp) {
            let wanted = wanted(pool)?;
            // What no index names has no digest that it should have.
            let wanted = wanted.ok_or_else(|| missing(&key))?;
            let is_damaged = |found: &Found| Ok(found.object.digest(&key).map_err(store_failed)? != wanted);
            if is_damaged(&found)? {
                // Upstream may still have what it should be.
                if let Err(error) = pool.mend(path) {
                    tracing::warn!(%key, %error, "a damaged file could not be fetched again");
                    return Err(snapshot_failed(SnapshotError::Damaged { key }));
                }
                found = open()?;
                if is_damaged(&found)? {
                    return Err(snapshot_failed(SnapshotError::Damaged { key }));
                }
            }
            checked.add(path.clone(), found.object.stamp);
        }
        Ok(found)
    }

    /// A file of a flat repository: one that an index names, and nothing else.
    fn flat(&self, archive: &ArchiveName, path: &PoolPath) -> Result<Found> {
        match self.archive(archive)?.pool.find(path).map_err(fetch_failed)? {
            Some(_) => self.pool(archive, path),
            None => Err(self.no_snapshot(self.chain(archive)?.as_ref(), NO_SNAPSHOT)),
        }
    }

    fn overlay(&self, digest: &crate::domain::Sha256, path: &str) -> Result<Found> {
        if !self.overlays.has(digest) {
            return Err(no_overlay());
        }
        let bytes = self.overlays.file(digest, path);
        let bytes = bytes.ok_or_else(|| not_found("this environment has no such file"))?;
        Ok(Found {
            object: Object::memory(bytes, self.started),
            media: media_of(path),
            caching: Caching::Check,
        })
    }

    fn object(&self, key: &Key, media: &'static str, caching: Caching) -> Result<Found> {
        let object = Object::open(&self.store, key).map_err(store_failed)?;
        Ok(Found {
            object: object.ok_or_else(|| missing(key))?,
            media,
            caching,
        })
    }

    fn home(&self) -> Result<Found> {
        let page = pages::home(self.store.as_ref(), &self.chains()?).map_err(snapshot_failed)?;
        Ok(self.page(page.into_bytes(), "text/html; charset=utf-8"))
    }

    fn of_archive(&self, archive: &ArchiveName) -> Result<Found> {
        let chain = self.chain(archive)?;
        let page = pages::of_archive(self.store.as_ref(), &chain).map_err(snapshot_failed)?;
        Ok(self.page(page.into_bytes(), "text/html; charset=utf-8"))
    }

    fn snapshots(&self) -> Result<Found> {
        let bytes = pages::snapshots(self.store.as_ref(), &self.chains()?);
        let bytes = bytes.map_err(snapshot_failed)?;
        Ok(self.page(bytes, "application/json"))
    }

    fn page(&self, bytes: Vec<u8>, media: &'static str) -> Found {
        Found {
            object: Object::memory(bytes, self.started),
            media,
            caching: Caching::Check,
        }
    }

    fn chains(&self) -> Result<Vec<Arc<Chain>>> {
        self.archives.keys().map(|name| self.chain(name)).collect()
    }
}

fn key(parts: &[&str]) -> Result<Key> {
    Key::new(parts.join("/")).map_err(|_| not_found("the path is too long"))
}

fn is_by_hash(path: &RelPath) -> bool {
    path.as_str().split('/').any(|part| part == "by-hash")
}

fn media_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "deb" | "udeb" => "application/vnd.debian.binary-package",
        "gz" | "tgz" => "application/gzip",
        "xz" => "application/x-xz",
        "zst" => "application/zstd",
        "bz2" => "application/x-bzip2",
        "json" => "application/json",
        "dsc" | "asc" | "gpg" | "buildinfo" => "text/plain; charset=utf-8",
        _ if matches!(name, "InRelease" | "Release" | "Packages" | "Sources" | "Decisions") => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}

/// A tag, and what is below it.
fn of_tag(path: &PoolPath) -> Option<(TagName, PoolPath)> {
    let (tag, rest) = path.as_str().split_once('/')?;
    Some((tag.parse().ok()?, PoolPath::new(rest).ok()?))
}

fn not_found(why: impl Into<String>) -> Refused {
    Refused(StatusCode::NOT_FOUND, why.into(), String::new())
}

fn missing(key: &Key) -> Refused {
    let archive = key.as_str().split('/').next().unwrap_or_default();
    Refused(
        StatusCode::NOT_FOUND,
        format!("there is no `{key}`"),
        format!("the page at /{archive}/ says which suites and snapshots there are"),
    )
}

fn no_overlay() -> Refused {
    not_found("there is no environment of this digest, or its build has ended")
}

fn failed(status: StatusCode, error: &dyn Coded) -> Refused {
    let (code, hint) = (error.code(), error.hint().unwrap_or_default());
    tracing::warn!(code, %error, next = hint, "a request failed");
    // What to do on the server is for its log: here it is said to somebody who can only ask again.
    let next = match status {
        StatusCode::BAD_GATEWAY => {
            "try again in a minute; when it stays, tell whoever runs this server, whose log says more"
        }
        _ => "tell whoever runs this server, whose log says more",
    };
    Refused(status, format!("{code}: {error}"), next.to_owned())
}

fn store_failed(error: StoreError) -> Refused {
    failed(StatusCode::INTERNAL_SERVER_ERROR, &error)
}

fn snapshot_failed(error: SnapshotError) -> Refused {
    failed(StatusCode::INTERNAL_SERVER_ERROR, &error)
}

fn fetch_failed(error: UpstreamError) -> Refused {
    match error {
        UpstreamError::Store(error @ StoreError::Strange { .. }) => store_failed(error),
        UpstreamError::NotInSnapshots(_) => Refused(
            StatusCode::NOT_FOUND,
            error.to_string(),
            "`apt update`, and ask for what the indexes of a snapshot that is kept list".to_owned(),
        ),
        _ if error.code() == "E-UP-004" => Refused(
            StatusCode::NOT_FOUND,
            format!("upstream no longer has this file: {error}"),
            "`apt update` for a newer version, or have this server keep whole snapshots (`pool = \"full\"`)".to_owned(),
        ),
        _ if error.kind() == Kind::Bug => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
        _ => failed(StatusCode::BAD_GATEWAY, &error),
    }
}
