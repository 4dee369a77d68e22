//! The Secret `tress-control` of a namespace: what its serving pods answer with, and whom they let in.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::authority::LEAF_RENEWED;
use super::{Authorities, Leaf, Purpose, SECRET, server_name};
use crate::apply::INPUTS;
use crate::context::Context;
use crate::error::Result;
use crate::label::{self, Role};

/// When the certificate ends, kept in this annotation.
const EXPIRES: &str = "tress.dev/expires";
/// However long it is good for, it is looked at so often: there may be a new authority.
const LOOK: SignedDuration = SignedDuration::from_hours(6);

/// Sees to it that a namespace has its Secret, renewed in time and with all authorities that are trusted. Gives back when it has to be
/// looked at again.
///
/// # Errors
/// `Invalid` when somebody else's Secret has the name; `NotLeader`, `Timeout`, `Api`.
pub async fn secret(context: &Context, namespace: &str) -> Result<Timestamp> {
    let now = context.clock.now();
    let authorities = context.pods.authorities()?;
    let known = context.cluster.secrets.get(namespace, SECRET);
    if let Some(renewal) = known.and_then(|known| good_until(&known, &authorities, now)) {
        return Ok(renewal);
    }
    let leaf = authorities.leaf(&Purpose::Server(server_name(namespace)), now)?;
    let digest = digest(&authorities, (namespace, leaf.expires), now);
    context.writer.ensure(rendered(namespace, &authorities, &leaf), &digest).await?;
    tracing::info!(namespace, expires = %leaf.expires, "certificates of serving pods were renewed");
    Ok(next(leaf.expires, now))
}

/// When the Secret has to be looked at again. `None` = it has to be made anew now.
fn good_until(known: &Secret, authorities: &Authorities, now: Timestamp) -> Option<Timestamp> {
    let expires: Timestamp = known.annotations().get(EXPIRES)?.parse().ok()?;
    let namespace = known.namespace()?;
    let is_of_now = known.annotations().get(INPUTS) == Some(&digest(authorities, (&namespace, expires), now));
    (is_of_now && expires.duration_since(now) > LEAF_RENEWED).then(|| next(expires, now))
}

fn next(expires: Timestamp, now: Timestamp) -> Timestamp {
    let renewal = expires.saturating_sub(LEAF_RENEWED).unwrap_or(expires);
    renewal.min(now.saturating_add(LOOK).unwrap_or(renewal))
}

/// What a Secret is made from.
fn digest(authorities: &Authorities, (namespace, expires): (&str, Timestamp), now: Timestamp) -> String {
    let text = format!("{}\n{}\n{}\n{expires}", authorities.bundle(), authorities.signer(now), server_name(namespace));
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

fn rendered(namespace: &str, authorities: &Authorities, leaf: &Leaf) -> Value {
    let Leaf { certificate, key, expires } = leaf;
    let bytes = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": SECRET,
            "namespace": namespace,
            "labels": label::labels(Role::Serve, SECRET),
            "annotations": {EXPIRES: expires.to_string()},
        },
        "type": "Opaque",
        "data": {"tls.crt": bytes(certificate), "tls.key": bytes(key), "ca.crt": bytes(&authorities.bundle())},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + days * 86_400).unwrap()
    }

    fn made(authorities: &Authorities, now: Timestamp) -> Secret {
        let leaf = authorities.leaf(&Purpose::Server(server_name("n")), now).unwrap();
        let mut object = rendered("n", authorities, &leaf);
        object["metadata"]["annotations"][INPUTS] = json!(digest(authorities, ("n", leaf.expires), now));
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_secret_is_good_until_thirty_days_before_its_end_and_is_looked_at_meanwhile() {
        let authorities = Authorities::first(at(0)).unwrap();
        let secret = made(&authorities, at(0));
        assert_eq!(good_until(&secret, &authorities, at(0)), Some(at(0) + LOOK));
        assert_eq!(good_until(&secret, &authorities, at(60) - SignedDuration::from_hours(1)), Some(at(60)));
        assert_eq!(good_until(&secret, &authorities, at(60)), None);
    }

    #[test]
    fn a_new_authority_makes_every_secret_anew_twice_once_to_be_trusted_and_once_to_sign() {
        let first = Authorities::first(at(0)).unwrap();
        let now = at(5 * 365 - 300);
        let before = made(&first, now);
        let both = first.renewed(now).unwrap().unwrap();
        assert!(good_until(&before, &first, now).is_some() && good_until(&before, &both, now).is_none());
        let trusted = made(&both, now);
        assert!(good_until(&trusted, &both, now).is_some());
        assert!(good_until(&trusted, &both, now + SignedDuration::from_hours(25)).is_none());
    }
}
