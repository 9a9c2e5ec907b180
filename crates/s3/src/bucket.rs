//! The bucket: objects of packs, named by the store, the pack and the hash of its bytes. So no object is ever written twice with other bytes, not even
//! by a copy of the store that goes its own way.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig, WriteMultipart};
use paquebot_store::{PackId, SealedPack, Sent};

use crate::address::Address;
use crate::credentials::Credentials;
use crate::error::S3Error;

/// Requests carry about this many bytes.
pub(crate) const PART: u64 = 8 << 20;
/// Parts that are under way at a time.
const PARTS_AT_ONCE: usize = 3;
const CONNECT_TIME: Duration = Duration::from_secs(5);
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Beyond this it is for the caller to try again, later.
const RETRIES: usize = 2;
const RETRY_TIME: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    s3: Arc<AmazonS3>,
    name: String,
    endpoint: String,
    /// What the store's objects begin with.
    folder: String,
}

impl Bucket {
    pub(crate) fn new(address: &Address, credentials: &Credentials, store: [u8; 16]) -> Result<Self, S3Error> {
        // Of this process's TLS libraries it is to be the one that everything else uses. It may have been said before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = address.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let client =
            ClientOptions::new().with_connect_timeout(CONNECT_TIME).with_timeout(REQUEST_TIME).with_allow_http(plain);
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&address.bucket)
            .with_region(&address.region)
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(&credentials.secret)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &address.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(token) = &credentials.token {
            builder = builder.with_token(token);
        }
        let s3 = builder.build().map_err(|error| S3Error::Settings(error.to_string()))?;
        let store = store.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let folder = if address.prefix.is_empty() { store } else { format!("{}/{store}", address.prefix) };
        let endpoint = address.endpoint.clone().unwrap_or_else(|| format!("AWS in {}", address.region));
        Ok(Self { s3: Arc::new(s3), name: address.bucket.clone(), endpoint, folder })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the bucket is there and lets itself be listed.
    pub(crate) async fn probe(&self) -> Result<(), S3Error> {
        let prefix = Path::from(self.folder.as_str());
        let first = self.s3.list(Some(&prefix)).try_next().await;
        first.map(drop).map_err(|error| self.failed(error, None))
    }

    /// Sends a pack, unless its object is there already, and proves it by reading it back.
    pub(crate) async fn send(&self, pack: PackId, file: SealedPack) -> Result<Sent, S3Error> {
        let sent = hash(file.clone()).await?;
        if self.len(pack, &sent).await? != Some(sent.bytes) {
            self.put(pack, &sent, &file).await?;
        }
        if self.hash(pack, &sent).await? == sent.hash {
            return Ok(sent);
        }
        // It is not what was sent, whoever made it so: the next attempt is to find nothing there.
        self.delete(pack, &sent).await?;
        Err(S3Error::OtherBytes { pack })
    }

    /// The length of a pack's object; `None` if there is none.
    pub(crate) async fn len(&self, pack: PackId, sent: &Sent) -> Result<Option<u64>, S3Error> {
        match self.s3.head(&self.path(pack, sent)).await {
            Ok(meta) => Ok(Some(meta.size)),
            // A bucket that is not there answers in the same words.
            Err(object_store::Error::NotFound { .. }) => self.probe().await.map(|()| None),
            Err(error) => Err(self.failed(error, Some(pack))),
        }
    }

    /// A part of a pack's object. It may be shorter, and is not proved.
    pub(crate) async fn read(&self, pack: PackId, sent: &Sent, range: Range<u64>) -> Result<Bytes, S3Error> {
        let read = self.s3.get_range(&self.path(pack, sent), range).await;
        read.map_err(|error| self.failed(error, Some(pack)))
    }

    pub(crate) async fn delete(&self, pack: PackId, sent: &Sent) -> Result<(), S3Error> {
        match self.s3.delete(&self.path(pack, sent)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(error, Some(pack))),
        }
    }

    async fn put(&self, pack: PackId, sent: &Sent, file: &SealedPack) -> Result<(), S3Error> {
        let path = self.path(pack, sent);
        let failed = |error| self.failed(error, Some(pack));
        if sent.bytes <= PART {
            let bytes = part(file.clone(), 0).await?;
            return self.s3.put(&path, PutPayload::from(bytes)).await.map(drop).map_err(failed);
        }
        let upload = self.s3.put_multipart(&path).await.map_err(failed)?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART as usize);
        let mut at = 0;
        while at < sent.bytes {
            let ready = match parts.wait_for_capacity(PARTS_AT_ONCE).await {
                Ok(()) => part(file.clone(), at).await,
                Err(error) => Err(failed(error)),
            };
            match ready {
                Ok(bytes) => {
                    at += bytes.len() as u64;
                    parts.put(bytes);
                }
                Err(error) => {
                    // What a server keeps of it is for the bucket's rule about unfinished uploads, if this fails too.
                    let _ = parts.abort().await;
                    return Err(error);
                }
            }
        }
        // When it fails it is aborted.
        parts.finish().await.map(drop).map_err(failed)
    }

    /// The hash of what is in the bucket.
    async fn hash(&self, pack: PackId, sent: &Sent) -> Result<[u8; 32], S3Error> {
        let (mut hasher, mut at) = (blake3::Hasher::new(), 0);
        while at < sent.bytes {
            let bytes = self.read(pack, sent, at..sent.bytes.min(at + PART)).await?;
            if bytes.is_empty() {
                return Err(S3Error::OtherBytes { pack });
            }
            hasher.update(&bytes);
            at += bytes.len() as u64;
        }
        Ok(*hasher.finalize().as_bytes())
    }

    fn path(&self, pack: PackId, sent: &Sent) -> Path {
        let hash = sent.hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        Path::from(format!("{}/{pack}-{hash}", self.folder))
    }

    /// What an answer means for who has configured the bucket.
    fn failed(&self, error: object_store::Error, pack: Option<PackId>) -> S3Error {
        use object_store::Error;
        let (bucket, endpoint) = (self.name.clone(), self.endpoint.clone());
        let why = chain(&error);
        match (error, pack) {
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
                S3Error::Refused { bucket, endpoint }
            }
            (Error::NotFound { .. }, _) if why.contains("NoSuchBucket") => S3Error::NoBucket { bucket, endpoint },
            (Error::NotFound { .. }, Some(pack)) => S3Error::Absent { pack },
            (Error::NotFound { .. }, None) => S3Error::NoBucket { bucket, endpoint },
            // A list request that is refused comes as an error of no kind.
            (_, _)
                if ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"]
                    .iter()
                    .any(|code| why.contains(code)) =>
            {
                S3Error::Refused { bucket, endpoint }
            }
            (_, _) if why.contains("NoSuchBucket") => S3Error::NoBucket { bucket, endpoint },
            (_, _) => S3Error::Unreachable { endpoint, why },
        }
    }
}

/// An error and what caused it, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A part of a pack, of at most [`PART`] bytes.
async fn part(file: SealedPack, at: u64) -> Result<Bytes, S3Error> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; file.len().saturating_sub(at).min(PART) as usize];
        file.read_exact_at(&mut bytes, at).map(|()| Bytes::from(bytes))
    });
    Ok(read.await.map_err(|_| S3Error::Stopping)??)
}

async fn hash(file: SealedPack) -> Result<Sent, S3Error> {
    let hashed = tokio::task::spawn_blocking(move || -> std::io::Result<Sent> {
        let (mut hasher, mut at, mut buf) = (blake3::Hasher::new(), 0, vec![0; 1 << 20]);
        while at < file.len() {
            let len = buf.len().min(usize::try_from(file.len() - at).unwrap_or(usize::MAX));
            file.read_exact_at(&mut buf[..len], at)?;
            hasher.update(&buf[..len]);
            at += len as u64;
        }
        Ok(Sent { bytes: at, hash: *hasher.finalize().as_bytes() })
    });
    Ok(hashed.await.map_err(|_| S3Error::Stopping)??)
}
