//! From what a platform file says to what it leads to. Secrets are folders of their name with a file for each key.

use std::path::Path;
use std::sync::Arc;

use tress_configs::platform::{Kafka, ObjectStore, Registry, RegistryAuth, RegistryTls};
use url::Url;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::log::Log;
use crate::registry::{self, Contract, Password};

/// A Kafka.
#[cfg(feature = "kafka")]
pub fn kafka(settings: &Kafka, secrets: &Path) -> Result<Arc<dyn Log>> {
    use tress_configs::platform::{CreateTopics, KafkaAuth, KafkaTls, SaslMechanism, Topics};

    use crate::log::kafka::{ClientCertificate, Connection, KafkaLog, Mechanism, MissingTopics, Sasl, Tls};

    let Kafka { bootstrap, auth, tls, topics: Topics { create, name: _, retention: _, replicas: _ }, registry: _ } = settings;
    let sasl = auth.as_ref().map(|KafkaAuth { sasl_secret, mechanism }| Sasl {
        mechanism: match mechanism {
            SaslMechanism::Plain => Mechanism::Plain,
            SaslMechanism::ScramSha256 => Mechanism::ScramSha256,
            SaslMechanism::ScramSha512 => Mechanism::ScramSha512,
        },
        username: secrets.join(sasl_secret).join("username"),
        password: secrets.join(sasl_secret).join("password"),
    });
    let tls = tls.as_ref().map(|KafkaTls { ca_secret, client_secret }| Tls {
        ca: ca_secret.as_ref().map(|secret| secrets.join(secret).join("ca.crt")),
        client: client_secret.as_ref().map(|secret| ClientCertificate {
            certificate: secrets.join(secret).join("tls.crt"),
            key: secrets.join(secret).join("tls.key"),
        }),
    });
    let missing = match create {
        CreateTopics::Always => MissingTopics::Make,
        CreateTopics::Never => MissingTopics::Refuse,
    };
    Ok(Arc::new(KafkaLog::open(Connection { bootstrap: bootstrap.clone(), tls, sasl, missing })?))
}

#[cfg(not(feature = "kafka"))]
pub fn kafka(_: &Kafka, _: &Path) -> Result<Arc<dyn Log>> {
    Err(Error::invalid("this program was built without Kafka; build tress-engine with its feature kafka"))
}

/// A schema registry.
pub fn registry(settings: &Registry, secrets: &Path) -> Result<Contract> {
    let Registry { url, auth, tls } = settings;
    Contract::open(registry::Settings {
        url: address("registry.url", url)?,
        password: auth.as_ref().map(|RegistryAuth { secret }| Password {
            username: secrets.join(secret).join("username"),
            password: secrets.join(secret).join("password"),
        }),
        authorities: tls.as_ref().map(|RegistryTls { ca_secret }| secrets.join(ca_secret).join("ca.crt")),
    })
}

/// A prefix of a bucket, or a folder.
pub fn store(settings: &ObjectStore, secrets: &Path) -> Result<Lake> {
    let url = address("url", &settings.url)?;
    match url.scheme() {
        "file" => Lake::local(&url.to_file_path().map_err(|()| Error::invalid("url: this is no path of a folder"))?),
        "gs" => gcs(url, settings, secrets),
        "abfss" => azure(url, settings, secrets),
        _ => s3(url, settings, secrets),
    }
}

#[cfg(feature = "s3")]
fn s3(url: Url, settings: &ObjectStore, secrets: &Path) -> Result<Lake> {
    use crate::lake::{Keys, S3};

    let ObjectStore { url: _, endpoint, region, credentials_secret } = settings;
    Lake::s3(&S3 {
        url,
        endpoint: endpoint.as_ref().map(|e| address("endpoint", e)).transpose()?,
        region: region.clone(),
        keys: credentials_secret.as_ref().map(|secret| {
            let file = |key: &str| secrets.join(secret).join(key);
            Keys {
                access_key_id: file("accessKeyId"),
                secret_access_key: file("secretAccessKey"),
                session_token: Some(file("sessionToken")),
            }
        }),
    })
}

#[cfg(not(feature = "s3"))]
fn s3(_: Url, _: &ObjectStore, _: &Path) -> Result<Lake> {
    Err(Error::invalid("this program was built without S3; build tress-engine with its feature s3"))
}

#[cfg(feature = "gcs")]
fn gcs(url: Url, settings: &ObjectStore, secrets: &Path) -> Result<Lake> {
    let ObjectStore { url: _, endpoint, region: _, credentials_secret } = settings;
    let key = credentials_secret.as_ref().map(|secret| secrets.join(secret).join("serviceAccount.json"));
    Lake::gcs(&crate::lake::Gcs { url, endpoint: endpoint.as_ref().map(|e| address("endpoint", e)).transpose()?, key })
}

#[cfg(not(feature = "gcs"))]
fn gcs(_: Url, _: &ObjectStore, _: &Path) -> Result<Lake> {
    Err(Error::invalid("this program was built without Google Cloud Storage; build tress-engine with its feature gcs"))
}

#[cfg(feature = "azure")]
fn azure(url: Url, settings: &ObjectStore, secrets: &Path) -> Result<Lake> {
    let ObjectStore { url: _, endpoint, region: _, credentials_secret } = settings;
    let key = credentials_secret.as_ref().map(|secret| secrets.join(secret).join("accountKey"));
    Lake::azure(&crate::lake::Azure { url, endpoint: endpoint.as_ref().map(|e| address("endpoint", e)).transpose()?, key })
}

#[cfg(not(feature = "azure"))]
fn azure(_: Url, _: &ObjectStore, _: &Path) -> Result<Lake> {
    Err(Error::invalid("this program was built without Azure; build tress-engine with its feature azure"))
}

fn address(field: &str, text: &str) -> Result<Url> {
    Url::parse(text).map_err(|e| Error::invalid(format!("{field}: this is no address")).with_source(e))
}
