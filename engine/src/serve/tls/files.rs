//! The files of a folder of certificates, and what they mean.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::{Callers, Tls};
use crate::clock::Clock;
use crate::error::{Context, Error, Result};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
/// The most bytes of a file: chains and bundles are far smaller.
const MAX_BYTES: u64 = 1 << 20;
/// How often files that change while they are read are read again.
const READS: usize = 5;

/// What the files hold. Compared to see whether anything changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    /// Reads all files as they belong together: not some from before a renewal and some from after it.
    ///
    /// # Errors
    /// `NotFound`, naming the file, when one is missing; `Unavailable` when the disk does not answer, or they change all the time.
    pub async fn read(tls: &Tls) -> Result<Self> {
        let mut before = Self::read_once(tls).await?;
        for _ in 0..READS {
            let now = Self::read_once(tls).await?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        Err(Error::new(crate::ErrorKind::Unavailable, format!("read certificates of {}: they change all the time", tls.folder.display())))
    }

    async fn read_once(tls: &Tls) -> Result<Self> {
        Ok(Self {
            certificate: read(&tls.folder.join(CERTIFICATE)).await?,
            key: read(&tls.folder.join(KEY)).await?,
            authorities: match tls.callers {
                Callers::Anyone => None,
                Callers::Certified => Some(read(&tls.folder.join(AUTHORITIES)).await?),
            },
        })
    }

    /// What a server does with them.
    ///
    /// # Errors
    /// `Invalid`, naming the file, when it holds nothing usable, or the key is not the certificate's.
    pub fn config(&self, clock: Arc<dyn Clock>) -> Result<Arc<ServerConfig>> {
        let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
        let unusable = |file: &str, e: &dyn fmt::Display| Error::invalid(format!("{file}: it cannot be used: {e}"));
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(Time(clock)))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::internal("choose versions of TLS").with_source(e))?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(bundle) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(AUTHORITIES, bundle)? {
                    roots.add(authority).map_err(|e| unusable(AUTHORITIES, &e))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|e| unusable(AUTHORITIES, &e))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        // What the parser says of a key is kept back: it may quote it.
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| Error::invalid(format!("{KEY}: it holds no private key in PEM")))?;
        let mut config = builder
            .with_single_cert(certificates(CERTIFICATE, &self.certificate)?, key)
            .map_err(|e| unusable(CERTIFICATE, &format!("{e} (is {KEY} its key?)")))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        if self.authorities.is_some() {
            // A resumed session would not look at the caller's certificate again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("read certificates {}", path.display());
    let length = tokio::fs::metadata(path).await.context(doing)?.len();
    if length > MAX_BYTES {
        return Err(Error::invalid(format!("{}: {length} bytes; at most {MAX_BYTES} are read", doing())));
    }
    tokio::fs::read(path).await.context(doing)
}

fn certificates(file: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<std::result::Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::invalid(format!("{file}: it holds no certificates in PEM"))),
    }
}

/// The injected clock, for what certificates say of their time.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}
