//! Authorities and certificates of tests.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

/// The name that servers of tests have.
pub const SERVER: &str = "pool.test";

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
}

/// What a certificate is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Server,
    Client,
    Both,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Good until the first day of `until`.
    pub fn leaf(&self, purpose: Purpose, until: i32) -> Leaf {
        let mut params = CertificateParams::new(vec![SERVER.to_owned()]).expect("a name");
        params.extended_key_usages = match purpose {
            Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Leaf { certificate, key: key.serialize_pem() }
    }
}

/// Puts what a pod has mounted: certificate, key and bundle.
pub fn mount(folder: &Path, leaf: &Leaf, authorities: &[&Authority]) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("tls.crt"), &leaf.certificate).expect("written");
    std::fs::write(folder.join("tls.key"), &leaf.key).expect("written");
    let bundle: String = authorities.iter().map(|a| a.pem()).collect();
    std::fs::write(folder.join("ca.crt"), bundle).expect("written");
}
