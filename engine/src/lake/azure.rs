//! Lakes and tables in Azure's blob storage.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder};
use url::Url;

use super::after::ListedAfter;
use super::{Lake, client};
use crate::error::{Context, Error, Result};

/// A prefix of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Azure {
    /// `abfss://container@account.dfs.core.windows.net/prefix`.
    pub url: Url,
    /// Of a server other than Azure's.
    pub endpoint: Option<Url>,
    /// A file of a mounted secret: the account's key, read again at each request. `None` = what the environment has: a workload's identity.
    pub key: Option<PathBuf>,
}

impl Lake {
    /// A prefix of a container. Talks to nobody yet.
    ///
    /// # Errors
    /// `Invalid` when the address is not one of Azure's, or the key is none; `NotFound` when its file is not there.
    pub fn azure(settings: &Azure) -> Result<Self> {
        let Azure { url, endpoint, key } = settings;
        let doing = || format!("open lake {url}");
        let account = url.host_str().and_then(|host| host.split('.').next()).filter(|account| !account.is_empty());
        let (Some(account), container, "abfss") = (account, url.username(), url.scheme()) else {
            return Err(not_azure().while_doing(doing()));
        };
        if container.is_empty() {
            return Err(not_azure().while_doing(doing()));
        }
        let mut store = match key {
            None => MicrosoftAzureBuilder::from_env(),
            Some(file) => {
                let mounted = Mounted(file.clone());
                mounted.read().context(doing)?;
                MicrosoftAzureBuilder::new().with_credentials(Arc::new(mounted))
            }
        };
        if let Some(endpoint) = endpoint {
            store = store.with_endpoint(client::base(endpoint));
        }
        let store = store
            .with_account(account)
            .with_container_name(container)
            .with_retry(client::patience())
            .with_client_options(client::options(endpoint.as_ref()))
            .build()
            .context(doing)?;
        Self::new(Arc::new(ListedAfter(store)), url.clone())
    }
}

fn not_azure() -> Error {
    Error::invalid("its address must be abfss://container@account.dfs.core.windows.net/prefix")
}

/// The account's key in a file.
#[derive(Debug)]
struct Mounted(PathBuf);

impl Mounted {
    fn read(&self) -> Result<Arc<AzureCredential>> {
        let key = AzureAccessKey::try_new(&client::secret(&self.0)?);
        // What the library says may hold a piece of the key.
        let key = key.map_err(|_| Error::invalid(format!("read {}: this is no key of an account", self.0.display())))?;
        Ok(Arc::new(AzureCredential::AccessKey(key)))
    }
}

#[async_trait]
impl CredentialProvider for Mounted {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        self.read().map_err(|e| object_store::Error::Generic { store: "Azure", source: e.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_address_of_another_kind_or_a_key_that_is_none_is_refused_when_the_lake_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accountKey");
        let open = |url: &str| Lake::azure(&Azure { url: Url::parse(url).unwrap(), endpoint: None, key: Some(file.clone()) });
        for other in ["s3://bucket/x", "abfss://account.dfs.core.windows.net/x", "https://account.blob.core.windows.net/x"] {
            assert_eq!(open(other).unwrap_err().kind(), ErrorKind::Invalid, "{other}");
        }
        let lake = "abfss://lake@account.dfs.core.windows.net/x";
        assert_eq!(open(lake).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::write(&file, "not base64!").unwrap();
        let error = open(lake).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("base64!"), "{error}");
        std::fs::write(&file, "c2VjcmV0").unwrap();
        assert_eq!(open(lake).unwrap().identity(), Some("abfss://lake@account.dfs.core.windows.net/x/"));
    }
}
