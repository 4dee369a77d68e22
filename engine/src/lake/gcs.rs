//! Lakes and tables in Google Cloud Storage.

use std::path::PathBuf;
use std::sync::Arc;

use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::gcp::{GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder};
use parking_lot::Mutex;
use url::Url;
use xxhash_rust::xxh3::xxh3_128;

use super::{Lake, client};
use crate::clock::Stopwatch;
use crate::error::{Context, Error, Result};

/// How long a key that was read counts: a mounted secret may be replaced.
const KEY_IS_FRESH: Duration = Duration::from_secs(10);

/// A prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gcs {
    /// `gs://bucket/prefix`.
    pub url: Url,
    /// Of a server other than Google's.
    pub endpoint: Option<Url>,
    /// A file of a mounted secret: the key of a service account, as JSON, read again as it changes. `None` = what the environment has: a workload's identity.
    pub key: Option<PathBuf>,
}

impl Lake {
    /// A prefix of a bucket. Talks to nobody yet.
    ///
    /// # Errors
    /// `Invalid` when the address is not one of Google's, or the key is none; `NotFound` when its file is not there.
    pub fn gcs(settings: &Gcs) -> Result<Self> {
        let Gcs { url, endpoint, key } = settings;
        let doing = || format!("open lake {url}");
        let (Some(bucket), "gs") = (url.host_str(), url.scheme()) else {
            return Err(Error::invalid("its address must be gs://bucket/prefix").while_doing(doing()));
        };
        let mut store = match key {
            None => GoogleCloudStorageBuilder::from_env(),
            Some(file) => {
                let mounted = Mounted { file: file.clone(), fresh: KEY_IS_FRESH, taken: Mutex::default() };
                mounted.tokens().context(doing)?;
                GoogleCloudStorageBuilder::new().with_credentials(Arc::new(mounted))
            }
        };
        if let Some(endpoint) = endpoint {
            store = store.with_base_url(&client::base(endpoint));
        }
        let store = store
            .with_bucket_name(bucket)
            .with_retry(client::patience())
            .with_client_options(client::options(endpoint.as_ref()))
            .build()
            .context(doing)?;
        Self::new(Arc::new(store), url.clone())
    }
}

/// The key of a service account in a file. Tokens are asked for with the key that is there; another one asks anew.
#[derive(Debug)]
struct Mounted {
    file: PathBuf,
    fresh: Duration,
    taken: Mutex<Option<Taken>>,
}

/// A key that was read.
#[derive(Debug, Clone)]
struct Taken {
    /// Of the file's text.
    hash: u128,
    read: Stopwatch,
    tokens: GcpCredentialProvider,
}

impl Mounted {
    fn tokens(&self) -> Result<GcpCredentialProvider> {
        let mut taken = self.taken.lock();
        if let Some(Taken { read, tokens, .. }) = &*taken
            && read.elapsed() < self.fresh
        {
            return Ok(Arc::clone(tokens));
        }
        let key = client::secret(&self.file)?;
        let hash = xxh3_128(key.as_bytes());
        let tokens = match &*taken {
            Some(before) if before.hash == hash => Arc::clone(&before.tokens),
            _ => {
                // A builder makes the provider of tokens; it wants a bucket, of which the token knows nothing.
                let made = GoogleCloudStorageBuilder::new().with_bucket_name("any").with_service_account_key(key).build();
                // What the library says may hold a piece of the key.
                let made = made.map_err(|_| Error::invalid(format!("read {}: this is no key of a service account", self.file.display())));
                Arc::clone(made?.credentials())
            }
        };
        *taken = Some(Taken { hash, read: Stopwatch::start(), tokens: Arc::clone(&tokens) });
        Ok(tokens)
    }
}

#[async_trait]
impl CredentialProvider for Mounted {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let tokens = self.tokens().map_err(|e| object_store::Error::Generic { store: "GCS", source: e.into() })?;
        tokens.get_credential().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_address_of_another_kind_or_a_key_that_is_none_is_refused_when_the_lake_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("serviceAccount.json");
        let open = |url: &str, key: Option<&PathBuf>| Lake::gcs(&Gcs { url: Url::parse(url).unwrap(), endpoint: None, key: key.cloned() });
        assert_eq!(open("s3://bucket/x", None).unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(open("gs://bucket/x", Some(&file)).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::write(&file, r#"{"private_key": "a secret", "client_email": 7}"#).unwrap();
        let error = open("gs://bucket/x", Some(&file)).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("a secret"), "{error}");
    }

    /// A key whose tokens ask nobody.
    const KEY: &str = r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;

    #[tokio::test]
    async fn a_key_that_was_replaced_is_the_one_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Mounted { file: folder.path().join("serviceAccount.json"), fresh: Duration::ZERO, taken: Mutex::default() };
        std::fs::write(&mounted.file, KEY).unwrap();
        mounted.get_credential().await.unwrap();
        let first = mounted.tokens().unwrap();
        assert!(Arc::ptr_eq(&first, &mounted.tokens().unwrap()), "tokens of the same key are shared");
        std::fs::write(&mounted.file, KEY.replace(r#""client_email": """#, r#""client_email": "other""#)).unwrap();
        assert!(!Arc::ptr_eq(&first, &mounted.tokens().unwrap()), "a new key asks for tokens of its own");
        std::fs::write(&mounted.file, "torn").unwrap();
        mounted.get_credential().await.unwrap_err();
        std::fs::write(&mounted.file, KEY).unwrap();
        mounted.get_credential().await.unwrap();
    }
}
