//! Lakes and tables in Google Cloud Storage.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use url::Url;

use super::{Lake, client};
use crate::error::{Context, Error, Result};

/// A prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gcs {
    /// `gs://bucket/prefix`.
    pub url: Url,
    /// Of a server other than Google's.
    pub endpoint: Option<Url>,
    /// A file of a mounted secret: the key of a service account, as JSON. `None` = what the environment has: a workload's identity.
    pub key: Option<PathBuf>,
}

impl Lake {
    /// A prefix of a bucket. Talks to nobody yet. The key is taken as it is now.
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
            Some(file) => GoogleCloudStorageBuilder::new().with_service_account_key(client::secret(file).context(doing)?),
        };
        if let Some(endpoint) = endpoint {
            store = store.with_base_url(&client::base(endpoint));
        }
        let store = store
            .with_bucket_name(bucket)
            .with_retry(client::patience())
            .with_client_options(client::options(endpoint.as_ref()))
            .build()
            // What the library says may hold a piece of the key.
            .map_err(|_| Error::invalid("serviceAccount.json: this is no key of a service account").while_doing(doing()))?;
        Self::new(Arc::new(store), url.clone())
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
}
