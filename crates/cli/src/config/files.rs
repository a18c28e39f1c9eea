//! Where the files of sandboxes are: in a folder, or in a bucket of an S3-compatible store. Credentials come from the environment only.

use std::path::{Path, PathBuf};

use agent::workspace::{BucketSettings, Credentials};

/// Where files are.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// On a disk.
    Folder(PathBuf),
    /// In a bucket. Only who uses it needs credentials.
    Bucket(BucketSettings, Option<Credentials>),
}

impl Files {
    /// Settles where, with what the file says and what the environment holds.
    pub(super) fn read(
        folder: Option<PathBuf>,
        bucket: Option<BucketSettings>,
        data_dir: &Path,
        name: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let Some(bucket) = bucket else {
            return Ok(Self::Folder(folder.unwrap_or_else(|| data_dir.join("sandboxes"))));
        };
        anyhow::ensure!(
            folder.is_none(),
            "{name}: sandboxes.folder: there is [sandboxes.s3], too; files are in one of them"
        );
        anyhow::ensure!(!bucket.bucket.is_empty(), "{name}: sandboxes.s3.bucket: expected the bucket's name");
        let read = bucket.endpoint.as_deref().map(reqwest::Url::parse).transpose().ok();
        let web = |url: &reqwest::Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        };
        anyhow::ensure!(
            read.is_some_and(|url| url.as_ref().is_none_or(web)),
            "{name}: sandboxes.s3.endpoint: expected an http or https URL without a name or a password, such as https://s3.example.com"
        );
        let credentials = env("AWS_ACCESS_KEY_ID").zip(env("AWS_SECRET_ACCESS_KEY"));
        let credentials =
            credentials.map(|(key_id, secret)| Credentials { key_id, secret, session: env("AWS_SESSION_TOKEN") });
        Ok(Self::Bucket(bucket, credentials))
    }

    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(..) => None,
        }
    }

    /// How it is named to people.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Bucket(bucket, _) => format!("the bucket {}", bucket.shown()),
        }
    }
}
