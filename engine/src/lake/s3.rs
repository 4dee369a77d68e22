//! Lakes and tables in S3, or in what speaks it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsCredential, S3ConditionalPut};
use parking_lot::Mutex;
use url::Url;

use super::{Lake, client};
use crate::clock::Stopwatch;
use crate::error::{Context, Error, Result};

/// How long keys that were read from files are used before the files are looked at again.
const KEYS_ARE_FRESH: Duration = Duration::from_secs(10);

/// A prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    /// `s3://bucket/prefix`.
    pub url: Url,
    /// Of a server other than Amazon's: `https://host:port`, or `http://…` without encryption.
    pub endpoint: Option<Url>,
    /// `None` = `us-east-1`, which other servers than Amazon's take for any.
    pub region: Option<String>,
    /// `None` = what the environment has: a service account's role, or the machine's.
    pub keys: Option<Keys>,
}

/// Files of a mounted secret. They are read again while they are used, so that keys can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub access_key_id: PathBuf,
    pub secret_access_key: PathBuf,
    /// Of temporary keys; a file that is not there means that they are not.
    pub session_token: Option<PathBuf>,
}

impl Lake {
    /// A prefix of a bucket. Talks to nobody yet.
    ///
    /// # Errors
    /// `Invalid` when the address is not one of S3; `NotFound` when a file of the keys is not there.
    pub fn s3(settings: &S3) -> Result<Self> {
        let S3 { url, endpoint, region, keys } = settings;
        let doing = || format!("open lake {url}");
        let (Some(bucket), "s3") = (url.host_str(), url.scheme()) else {
            return Err(Error::invalid("its address must be s3://bucket/prefix").while_doing(doing()));
        };
        let mut store = match keys {
            None => AmazonS3Builder::from_env(),
            Some(keys) => {
                let mounted = Mounted { keys: keys.clone(), read: Mutex::default() };
                mounted.read().map_err(|e| e.while_doing(doing()))?;
                AmazonS3Builder::new().with_credentials(Arc::new(mounted))
            }
        };
        if let Some(endpoint) = endpoint {
            store = store.with_endpoint(client::base(endpoint)).with_virtual_hosted_style_request(false);
        }
        let store = store
            .with_bucket_name(bucket)
            .with_region(region.as_deref().unwrap_or("us-east-1"))
            // What the lake agrees by: a file that is put if it is absent.
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(client::patience())
            .with_client_options(client::options(endpoint.as_ref()))
            .build()
            .context(doing)?;
        Self::new(Arc::new(store), url.clone())
    }
}

/// Keys in files.
#[derive(Debug)]
struct Mounted {
    keys: Keys,
    read: Mutex<Option<(Stopwatch, Arc<AwsCredential>)>>,
}

impl Mounted {
    fn read(&self) -> Result<Arc<AwsCredential>> {
        let Keys { access_key_id, secret_access_key, session_token } = &self.keys;
        let mut last = self.read.lock();
        if let Some((at, keys)) = &*last
            && at.elapsed() < KEYS_ARE_FRESH
        {
            return Ok(Arc::clone(keys));
        }
        let token = session_token.as_deref().filter(|file| file.exists()).map(client::secret).transpose()?;
        let keys =
            Arc::new(AwsCredential { key_id: client::secret(access_key_id)?, secret_key: client::secret(secret_access_key)?, token });
        *last = Some((Stopwatch::start(), Arc::clone(&keys)));
        Ok(keys)
    }
}

#[async_trait]
impl CredentialProvider for Mounted {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.read().map_err(|e| object_store::Error::Generic { store: "S3", source: e.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn settings(url: &str, keys: Option<Keys>) -> S3 {
        S3 { url: Url::parse(url).unwrap(), endpoint: Some(Url::parse("http://127.0.0.1:1").unwrap()), region: None, keys }
    }

    #[test]
    fn an_address_of_another_kind_or_a_missing_key_is_refused_when_the_lake_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys {
            access_key_id: folder.path().join("accessKeyId"),
            secret_access_key: folder.path().join("secretAccessKey"),
            session_token: None,
        };
        assert_eq!(Lake::s3(&settings("gs://bucket/x", None)).unwrap_err().kind(), ErrorKind::Invalid);
        std::fs::write(&keys.access_key_id, "id").unwrap();
        let error = Lake::s3(&settings("s3://bucket/x", Some(keys.clone()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("/secretAccessKey"), "{error}");
        std::fs::write(&keys.secret_access_key, "secret").unwrap();
        Lake::s3(&settings("s3://bucket/x", Some(keys))).unwrap();
    }
}
