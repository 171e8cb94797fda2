//! An S3 service: the real one that `ASSAY_S3` names (`make test-s3`), else the one of the tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::s3::S3;

pub(crate) struct Service {
    ours: Option<S3>,
    folder: String,
}

impl Service {
    pub(crate) fn start() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let ours = real().is_none().then(S3::start);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            ours,
            folder: format!("s3://bucket/{}/{n}", std::process::id()),
        }
    }

    /// A folder that nobody else writes to.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// What clients find in their environment.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        match &self.ours {
            Some(ours) => ours.settings(),
            None => {
                let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
                let known = names.map(|name| (name.to_owned(), std::env::var(name).unwrap()));
                let url = ("AWS_ENDPOINT_URL".to_owned(), real().unwrap());
                known.into_iter().chain([url]).collect()
            }
        }
    }
}

fn real() -> Option<String> {
    std::env::var("ASSAY_S3").ok()
}
