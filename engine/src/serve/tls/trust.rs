//! Whom a client trusts, and as whom it calls.

use std::path::Path;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::{Context, Result};

/// What a client goes by. Cheap enough to clone.
#[derive(Clone)]
pub struct Trust {
    authorities: Vec<u8>,
    /// Certificate and key, PEM.
    identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the server's certificate has to have.
    server: String,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Trust {
    /// Trusts servers called `server` that an authority of the bundle (PEM) has signed; shows no certificate of its own.
    #[must_use]
    pub fn in_bundle(authorities: Vec<u8>, server: &str) -> Self {
        Self { authorities, identity: None, server: server.to_owned() }
    }

    /// Trusts by `ca.crt` of a folder, and shows its `tls.crt`.
    ///
    /// # Errors
    /// `NotFound`, naming the file, when one is missing.
    pub async fn of_folder(folder: &Path, server: &str) -> Result<Self> {
        let read = async |name: &str| {
            let path = folder.join(name);
            tokio::fs::read(&path).await.context(|| format!("read certificates {}", path.display()))
        };
        let identity = Some((read("tls.crt").await?, read("tls.key").await?));
        Ok(Self { authorities: read("ca.crt").await?, identity, server: server.to_owned() })
    }

    pub(crate) fn config(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().domain_name(&self.server).ca_certificate(Certificate::from_pem(&self.authorities));
        match &self.identity {
            None => config,
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
        }
    }
}
