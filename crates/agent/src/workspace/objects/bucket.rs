//! The bucket: how it is reached, and whether it does what files in it rest on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::path::{Path, PathPart};
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, RetryConfig,
    UpdateVersion,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::errors::root;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request may take, a part of a large file included.
const REQUEST: Duration = Duration::from_secs(30);
/// How often a request that failed is made again, and for how long at most.
const RETRIES: usize = 3;
const RETRYING: Duration = Duration::from_secs(10);
/// Where is tried out what the bucket does. No sandbox id holds a dot, so it cannot be one.
const PROBE: &str = ".probe";

/// Section `[sandboxes.s3]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// What every key begins with, without slashes at its ends; empty: nothing.
    #[serde(default)]
    pub prefix: String,
    /// The server's URL, where it is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Its region.
    #[serde(default = "usual_region")]
    pub region: String,
    /// Whether the bucket stands in the path of URLs and not in the host's name. Without a word, so with an `endpoint`.
    #[serde(default)]
    pub path_style: Option<bool>,
}

impl BucketSettings {
    /// How it is named to people.
    pub fn shown(&self) -> String {
        let prefix = if self.prefix.is_empty() { String::new() } else { format!("/{}", self.prefix) };
        let server = self.endpoint.as_ref().map_or_else(String::new, |endpoint| format!(" at {endpoint}"));
        format!("{}{prefix}{server}", self.bucket)
    }
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

/// What requests are signed with.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN`, for credentials that are lent.
    pub session: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// A bucket that is not fit for files, in a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("the bucket {bucket:?} of [sandboxes.s3] {why}")]
pub struct BucketError {
    bucket: String,
    why: String,
}

/// A bucket, or a part of one.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    name: String,
    prefix: Path,
}

impl Bucket {
    /// Reaches nothing yet.
    ///
    /// # Errors
    /// An endpoint that is no URL.
    pub fn new(settings: &BucketSettings, credentials: &Credentials) -> Result<Self, BucketError> {
        let plain = settings.endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
        let path_style = settings.path_style.unwrap_or(settings.endpoint.is_some());
        let client = ClientOptions::new().with_allow_http(plain).with_connect_timeout(CONNECT).with_timeout(REQUEST);
        let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRYING };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(&credentials.secret)
            .with_virtual_hosted_style_request(!path_style)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(session) = &credentials.session {
            builder = builder.with_token(session);
        }
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let store = builder.build().map_err(|error| BucketError {
            bucket: settings.bucket.clone(),
            why: format!("cannot be used: {error}"),
        })?;
        Ok(Self::over(Arc::new(store), &settings.bucket, &settings.prefix))
    }

    /// One in memory, for tests of what files do in a bucket.
    pub fn in_memory(prefix: &str) -> Self {
        Self::over(Arc::new(object_store::memory::InMemory::new()), "in memory", prefix)
    }

    fn over(store: Arc<dyn ObjectStore>, name: &str, prefix: &str) -> Self {
        let names = prefix.split('/').filter(|name| !name.is_empty());
        Self { store, name: name.to_owned(), prefix: names.map(PathPart::from).collect() }
    }

    /// The key of these names, which need not look like parts of one.
    pub(super) fn key<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Path {
        names.into_iter().fold(self.prefix.clone(), |key, name| key.join(PathPart::from(name)))
    }

    /// Tries out whether it does all that files rest on, with an object of its own.
    ///
    /// # Errors
    /// What it does not do, or why it was not reached.
    pub async fn probe(&self, id: Uuid) -> Result<(), BucketError> {
        let key = self.key([PROBE, &id.simple().to_string()]);
        let tried = self.try_out(&key).await;
        // An object that nobody looks at is all that may be left.
        let removed = self.store.delete(&key).await;
        tried.and_then(|()| removed.or_else(|error| self.refuse(&error)))
    }

    async fn try_out(&self, key: &Path) -> Result<(), BucketError> {
        let put = async |bytes: &'static str, mode: PutMode| {
            self.store.put_opts(key, PutPayload::from_static(bytes.as_bytes()), mode.into()).await
        };
        let first = put("one", PutMode::Create).await.or_else(|error| self.refuse(&error))?;
        match put("two", PutMode::Create).await {
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            other => return self.heed(other, "If-None-Match"),
        }
        let wrong = UpdateVersion { e_tag: Some("\"00000000000000000000000000000000\"".to_owned()), version: None };
        match put("three", PutMode::Update(wrong)).await {
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            other => return self.heed(other, "If-Match"),
        }
        put("four", PutMode::Update(first.into())).await.or_else(|error| self.refuse(&error))?;
        let read = async { self.store.get(key).await?.bytes().await };
        let read = read.await.or_else(|error| self.refuse(&error))?;
        let listed = self.store.list_with_delimiter(Some(&self.key([PROBE]))).await;
        let listed = listed.or_else(|error| self.refuse(&error))?;
        if read != "four" || !listed.objects.iter().any(|object| object.location == *key) {
            return Err(self.unfit("does not show at once what was written; files need a store that does".to_owned()));
        }
        Ok(())
    }

    /// What became of a request whose condition does not hold.
    fn heed<T>(&self, became: Result<T, Error>, header: &str) -> Result<(), BucketError> {
        match became {
            Ok(_) => Err(self.unfit(format!(
                "takes no heed of {header}: two who write a file would overwrite each other. Use a store that has conditional writes, as Amazon S3, \
                 MinIO, Cloudflare R2 and Ceph do, in a version that has them"
            ))),
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse<T>(&self, error: &Error) -> Result<T, BucketError> {
        Err(self.unfit(match error {
            Error::NotFound { .. } => "does not exist: make it, or correct its name".to_owned(),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                "refuses the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or they may not read, write, list and delete in it".to_owned()
            }
            error => format!("was not reached or does not answer as it should: {error} ({})", root(error)),
        }))
    }

    fn unfit(&self, why: String) -> BucketError {
        BucketError { bucket: self.name.clone(), why }
    }
}
