//! How a registry is reached: HTTP with a name and a password, and TLS with an authority of one's own.

use std::path::PathBuf;

use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// Where a registry is, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What its paths follow.
    pub url: Url,
    /// `None` = nobody.
    pub password: Option<Password>,
    /// A file of certificates: whom to believe that it is the registry. `None` = those whom the system believes.
    pub authorities: Option<PathBuf>,
}

/// Files of a mounted secret. They are read again with every question, so that passwords can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    pub username: PathBuf,
    pub password: PathBuf,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

#[cfg(feature = "kafka")]
pub use self::client::Http;

#[cfg(feature = "kafka")]
mod client {
    use std::path::Path;
    use std::time::Duration;

    use parking_lot::Mutex;
    use reqwest::redirect::Policy;
    use reqwest::{Certificate, Client};

    use super::{Error, ErrorKind, Password, Reply, Result, Settings};
    use crate::error::Context;

    /// The longest answer: the text of JSON in JSON, every letter escaped.
    const MAX_REPLY_BYTES: usize = 8 * crate::registry::MAX_SCHEMA_BYTES;
    const CONNECT: Duration = Duration::from_secs(5);
    /// For a whole question and its answer.
    const ANSWER: Duration = Duration::from_secs(10);

    /// A client of one registry.
    #[derive(Debug)]
    pub struct Http {
        settings: Settings,
        /// The client, and the authorities that it was made with.
        client: Mutex<(Client, Option<Vec<u8>>)>,
    }

    impl Http {
        pub fn open(settings: Settings) -> Result<Self> {
            if let Some(secret) = &settings.password {
                credentials(secret)?;
            }
            let authorities = settings.authorities.as_deref().map(read).transpose()?;
            let client = client(authorities.as_deref())?;
            Ok(Self { settings, client: Mutex::new((client, authorities)) })
        }

        /// # Errors
        /// `Unavailable` when there is no answer; `Invalid` when it is too long.
        pub async fn get(&self, path: &[&str], query: Option<(&str, &str)>) -> Result<Reply> {
            let unavailable = |e: Error| Error::new(ErrorKind::Unavailable, e.to_string());
            let mut url = self.settings.url.clone();
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop_if_empty().extend(path);
            }
            if let Some((key, value)) = query {
                url.query_pairs_mut().append_pair(key, value);
            }
            // A secret that is being changed may be gone for a moment.
            let client = self.client().map_err(unavailable)?;
            let mut request = client.get(url).header("accept", "application/vnd.schemaregistry.v1+json, application/json");
            if let Some(secret) = &self.settings.password {
                let (username, password) = credentials(secret).map_err(unavailable)?;
                request = request.basic_auth(username, Some(password));
            }
            let failed = |e: reqwest::Error| Error::new(ErrorKind::Unavailable, "it does not answer").with_source(e);
            let mut response = request.send().await.map_err(failed)?;
            let status = response.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > MAX_REPLY_BYTES {
                    return Err(Error::invalid(format!("its answer is longer than {MAX_REPLY_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Reply { status, body })
        }

        /// The client, made anew when its authorities are new.
        fn client(&self) -> Result<Client> {
            let authorities = self.settings.authorities.as_deref().map(read).transpose()?;
            let mut held = self.client.lock();
            if held.1 != authorities {
                *held = (client(authorities.as_deref())?, authorities);
            }
            Ok(held.0.clone())
        }
    }

    fn client(authorities: Option<&[u8]>) -> Result<Client> {
        let mut builder = Client::builder().connect_timeout(CONNECT).timeout(ANSWER).redirect(Policy::none()).no_proxy();
        if let Some(pem) = authorities {
            let wrong = || Error::invalid("registry.tls: ca.crt of its secret holds no certificates in PEM");
            let certificates = Certificate::from_pem_bundle(pem).map_err(|e| wrong().with_source(e))?;
            if certificates.is_empty() {
                return Err(wrong());
            }
            builder = builder.tls_built_in_root_certs(false);
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        builder.build().map_err(|e| Error::invalid("make a client of the registry").with_source(e))
    }

    fn credentials(secret: &Password) -> Result<(String, String)> {
        let text = |file: &Path| {
            let text = String::from_utf8(read(file)?).map_err(|_| Error::invalid(format!("read {}: it is no text", file.display())))?;
            Ok::<_, Error>(text.trim_end_matches(['\r', '\n']).to_owned())
        };
        Ok((text(&secret.username)?, text(&secret.password)?))
    }

    fn read(file: &Path) -> Result<Vec<u8>> {
        std::fs::read(file).context(|| format!("read {}; is the secret mounted?", file.display()))
    }
}

/// Of a program that has no client.
#[cfg(not(feature = "kafka"))]
#[derive(Debug)]
pub struct Http {}

#[cfg(not(feature = "kafka"))]
impl Http {
    pub fn open(Settings { .. }: Settings) -> Result<Self> {
        Err(Error::invalid("this program was built without Kafka; build tress-engine with its feature kafka"))
    }

    pub async fn get(&self, _: &[&str], _: Option<(&str, &str)>) -> Result<Reply> {
        Err(Error::new(ErrorKind::Unavailable, "this program was built without Kafka"))
    }
}
