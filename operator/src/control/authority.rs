//! Our own authority: what it signs, and when it is followed by a new one. Pure but for the keys.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long an authority is good for.
const LIFE: i32 = 5 * 365;
/// So long before its end it is followed by a new one.
const FOLLOWED: i32 = 365;
/// A new one signs nothing before everybody has heard of it.
const HEARD_OF: i32 = 1;
/// How long what it signs is good for …
const LEAF_LIFE: i32 = 90;
/// … and so long before its end it is renewed.
pub(super) const LEAF_RENEWED: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Clocks of other machines may be behind.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// The format of what is kept.
const VERSION: u32 = 1;

/// All authorities that are trusted, oldest first. One of them signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorities {
    version: u32,
    authorities: Vec<Authority>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Authority {
    name: String,
    /// PEM.
    certificate: String,
    /// PEM.
    key: String,
    made: Timestamp,
    expires: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// What a certificate is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A server of this name.
    Server(String),
    /// This operator, as it calls pods.
    Client,
}

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    pub certificate: String,
    pub key: String,
    pub expires: Timestamp,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Authorities {
    /// The first of them.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn first(now: Timestamp) -> Result<Self> {
        Ok(Self { version: VERSION, authorities: vec![Authority::new(now)?] })
    }

    /// # Errors
    /// `Invalid`, without what it holds, for what was not written by [`Self::to_json`].
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let read: Self = serde_json::from_slice(json).map_err(|_| unreadable("it holds no authorities"))?;
        match read {
            Self { version: VERSION, authorities } if !authorities.is_empty() => Ok(Self { version: VERSION, authorities }),
            Self { version: VERSION, .. } => Err(unreadable("it is empty")),
            Self { version, .. } => Err(unreadable(&format!("its version {version} is of a newer operator"))),
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What they have to become now: without those that have ended, with a new one where the last is about to end. `None` = as they are.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn renewed(&self, now: Timestamp) -> Result<Option<Self>> {
        let mut authorities: Vec<Authority> = self.authorities.iter().filter(|a| a.expires > now).cloned().collect();
        if authorities.last().is_none_or(|last| last.expires.duration_since(now) < days(FOLLOWED)) {
            authorities.push(Authority::new(now)?);
        }
        let renewed = Self { version: VERSION, authorities };
        Ok((renewed != *self).then_some(renewed))
    }

    /// Whom to trust, PEM: all of them.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.authorities.iter().map(|a| a.certificate.as_str()).collect()
    }

    /// Who signs now.
    #[must_use]
    pub fn signer(&self, now: Timestamp) -> &str {
        self.signing(now).map_or("", |a| a.name.as_str())
    }

    /// A certificate of now.
    ///
    /// # Errors
    /// When no key can be made, or the authority's own cannot be used.
    pub fn leaf(&self, purpose: &Purpose, now: Timestamp) -> Result<Leaf> {
        let signer = self.signing(now).ok_or_else(|| unreadable("it is empty"))?;
        let (names, common, usage) = match purpose {
            Purpose::Server(name) => (vec![name.clone()], name.as_str(), ExtendedKeyUsagePurpose::ServerAuth),
            Purpose::Client => (Vec::new(), "tress-operator", ExtendedKeyUsagePurpose::ClientAuth),
        };
        let expires = now.saturating_add(days(LEAF_LIFE)).map_err(|e| impossible("tell when it ends", &e))?.min(signer.expires);
        let mut params = CertificateParams::new(names).map_err(|e| impossible("name a certificate", &e))?;
        params.distinguished_name = named(common);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        good_for(&mut params, now, expires);
        let key = KeyPair::generate().map_err(|e| impossible("make a key", &e))?;
        let certificate = params.signed_by(&key, &signer.issuer()?).map_err(|e| impossible("sign a certificate", &e))?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem(), expires })
    }

    /// The newest that everybody has heard of; before anybody can have, the oldest.
    fn signing(&self, now: Timestamp) -> Option<&Authority> {
        let is_known = |a: &&Authority| now.duration_since(a.made) >= days(HEARD_OF);
        self.authorities.iter().rev().find(is_known).or_else(|| self.authorities.first())
    }
}

impl Authority {
    fn new(now: Timestamp) -> Result<Self> {
        let name = format!("tress-operator {now:.0}");
        let expires = now.saturating_add(days(LIFE)).map_err(|e| impossible("tell when it ends", &e))?;
        let mut params = params_of(&name);
        good_for(&mut params, now, expires);
        let key = KeyPair::generate().map_err(|e| impossible("make a key", &e))?;
        let pem = key.serialize_pem();
        let made = CertifiedIssuer::self_signed(params, key).map_err(|e| impossible("make an authority", &e))?;
        Ok(Self { name, certificate: made.pem(), key: pem, made: now, expires })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>> {
        // What the parser says of a key is kept back: it may quote it.
        let key = KeyPair::from_pem(&self.key).map_err(|_| unreadable("a key of it cannot be used"))?;
        Ok(Issuer::new(params_of(&self.name), key))
    }
}

/// What of an authority goes into what it signs.
fn params_of(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn days(days: i32) -> SignedDuration {
    DAY.saturating_mul(days)
}

/// From a little before now on, to the second.
fn good_for(params: &mut CertificateParams, now: Timestamp, expires: Timestamp) {
    let seconds = |at: Timestamp| std::time::Duration::from_secs(u64::try_from(at.as_second()).unwrap_or_default());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + seconds(now.saturating_sub(SKEW).unwrap_or(now));
    params.not_after = epoch + seconds(expires);
}

fn impossible(doing: &str, error: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("{doing}: {error}"))
}

fn unreadable(why: &str) -> Error {
    Error::invalid(format!("Secret {}: {why}; delete it, and certificates are made anew", super::CA))
}
