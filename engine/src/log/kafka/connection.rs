//! How an Apache Kafka is reached, and the settings of every client.

use std::path::{Path, PathBuf};

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::error::{Context, Error, Result};

/// Where brokers are and how to speak to them. Secrets are files, read when a client is made; clients are made anew when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// `host:port` of some brokers; at least one.
    pub bootstrap: Vec<String>,
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
    pub missing: MissingTopics,
}

/// What becomes of a topic that is to be there and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingTopics {
    Make,
    /// Somebody else makes topics.
    Refuse,
}

/// Encryption, and who the broker must be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// A PEM file of authorities; `None` = those of the system.
    pub ca: Option<PathBuf>,
    pub client: Option<ClientCertificate>,
}

/// Who we are, by certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// A PEM file.
    pub certificate: PathBuf,
    /// A PEM file.
    pub key: PathBuf,
}

/// Who we are, by name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    pub mechanism: Mechanism,
    /// Files that hold nothing else; a newline at the end does not count.
    pub username: PathBuf,
    pub password: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    /// The name that Kafka has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512].into_iter().find(|m| m.name().eq_ignore_ascii_case(name))
    }
}

impl Connection {
    /// Without encryption and authentication.
    #[must_use]
    pub fn plain(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: vec![bootstrap.into()], tls: None, sasl: None, missing: MissingTopics::Make }
    }

    /// What all clients have in common.
    pub(super) fn config(&self) -> Result<ClientConfig> {
        let Self { bootstrap, tls, sasl, missing: _ } = self;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap.join(","))
            .set("client.id", "tress")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // Of the whole way to a connection that may be used. A broker that checks a password may look up its own name first: ten seconds
            // where its resolver does not answer.
            .set("socket.connection.setup.timeout.ms", "20000")
            .set("socket.keepalive.enable", "true")
            .set_log_level(RDKafkaLogLevel::Warning);
        config.set(
            "security.protocol",
            match (tls.is_some(), sasl.is_some()) {
                (false, false) => "plaintext",
                (true, false) => "ssl",
                (false, true) => "sasl_plaintext",
                (true, true) => "sasl_ssl",
            },
        );
        if let Some(Tls { ca, client }) = tls {
            if let Some(ca) = ca {
                config.set("ssl.ca.location", there(ca)?);
            }
            if let Some(ClientCertificate { certificate, key }) = client {
                config.set("ssl.certificate.location", there(certificate)?).set("ssl.key.location", there(key)?);
            }
        }
        if let Some(Sasl { mechanism, username, password }) = sasl {
            config.set("sasl.mechanisms", mechanism.name()).set("sasl.username", secret(username)?).set("sasl.password", secret(password)?);
        }
        Ok(config)
    }

    /// A consumer that commits nothing by itself and starts nowhere by itself.
    pub(super) fn consumer(&self) -> Result<ClientConfig> {
        let mut config = self.config()?;
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false");
        Ok(config)
    }
}

/// librdkafka says less than this about a file that is not there.
fn there(file: &Path) -> Result<String> {
    std::fs::metadata(file).context(|| format!("read {}; is the secret mounted?", file.display()))?;
    file.to_str().map(str::to_owned).ok_or_else(|| Error::invalid(format!("read {}: its path is no text", file.display())))
}

fn secret(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).context(|| format!("read {}; is the secret mounted?", file.display()))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(Error::invalid(format!("read {}: it is empty", file.display())));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn secrets_come_from_files_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let sasl = Sasl { mechanism: Mechanism::ScramSha512, username: file("username", "me\n"), password: file("password", "s e c") };
        let connection =
            Connection { tls: Some(Tls { ca: Some(file("ca.crt", "x")), client: None }), sasl: Some(sasl), ..Connection::plain("k:1") };
        let config = connection.config().unwrap();
        let of = |name: &str| config.get(name).unwrap();
        assert_eq!((of("sasl.username"), of("sasl.password"), of("security.protocol")), ("me", "s e c", "sasl_ssl"));
        std::fs::remove_file(folder.path().join("password")).unwrap();
        let error = connection.config().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("/password") && !error.to_string().contains("s e c"), "{error}");
    }
}
