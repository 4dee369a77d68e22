//! Between the protocol's messages and our own words, both ways.

use std::collections::BTreeMap;

use tress_configs::definition::{Contract, Freshness};
use tress_configs::duration::Duration;
use tress_configs::name::QualifiedName;
use tress_configs::route::Words;

use crate::error::Error;
use crate::serve::proto;
use crate::serve::{Applied, Pinned, Refusal, Route, RouteFile, parse_name};

/// The most revisions of one `Load`.
const MAX_WANTED: usize = 1_000;
/// The most routes of one `SetRoute`.
const MAX_ROUTES: usize = 10_000;
/// The most bytes of a description and owners together.
const MAX_WORDS: usize = 16_384;
/// The longest UID or digest.
const MAX_NAME: usize = 128;

pub fn wanted(request: proto::LoadRequest) -> Result<Vec<(QualifiedName, Pinned)>, Refusal> {
    if request.revisions.len() > MAX_WANTED {
        let message = format!("{} revisions are asked for; a call has at most {MAX_WANTED}", request.revisions.len());
        return Err(Refusal::invalid("revisions", message, "split the call"));
    }
    let read = |wanted: proto::load_request::Wanted| {
        let pinned = pinned("revisions.revision", wanted.revision)?;
        let pinned = pinned.ok_or_else(|| Refusal::invalid("revisions.revision", "missing", "give its UID and digest"))?;
        Ok((name("revisions.feature", &wanted.feature)?, pinned))
    };
    request.revisions.into_iter().map(read).collect()
}

pub fn routes(request: proto::SetRouteRequest) -> Result<RouteFile, Refusal> {
    if request.routes.len() > MAX_ROUTES {
        let message = format!("{} routes are given; a call has at most {MAX_ROUTES}", request.routes.len());
        return Err(Refusal::invalid("routes", message, "split the call"));
    }
    let mut features = BTreeMap::new();
    for given in request.routes {
        let route = Route {
            feature_uid: Some(given.feature_uid).filter(|uid| !uid.is_empty()),
            live: pinned("routes.live", given.live)?,
            trial: pinned("routes.trial", given.trial)?,
            loaded: given.loaded.into_iter().filter_map(|p| pinned("routes.loaded", Some(p)).transpose()).collect::<Result<_, _>>()?,
            weight_bp: given.weight_bp,
            epoch: given.epoch,
            attempt: given.attempt,
            contract: given.contract.map(contract).transpose()?,
            about: given.about.map(words).transpose()?,
        };
        let feature = name("routes.feature", &given.feature)?.to_string();
        if features.insert(feature, route).is_some() {
            return Err(Refusal::invalid("routes.feature", "a feature stands there twice", "give one route a feature"));
        }
    }
    let file = RouteFile { features, ..RouteFile::default() };
    file.check().map_err(Error::from)?;
    Ok(file)
}

pub fn applied(applied: Applied) -> proto::SetRouteResponse {
    let refused = |r: crate::serve::Refused| proto::RefusedRoute { feature: r.feature.to_string(), epoch: r.epoch, seen: r.seen };
    proto::SetRouteResponse {
        changed: applied.changed.iter().map(ToString::to_string).collect(),
        refused: applied.refused.into_iter().map(refused).collect(),
    }
}

pub fn write_pinned(pinned: &Pinned) -> proto::PinnedRevision {
    proto::PinnedRevision { uid: pinned.uid.clone(), digest: pinned.digest.clone() }
}

pub fn write_route(feature: &str, route: &Route) -> proto::Route {
    proto::Route {
        feature: feature.to_owned(),
        feature_uid: route.feature_uid.clone().unwrap_or_default(),
        live: route.live.as_ref().map(write_pinned),
        trial: route.trial.as_ref().map(write_pinned),
        loaded: route.loaded.iter().map(write_pinned).collect(),
        weight_bp: route.weight_bp,
        epoch: route.epoch,
        attempt: route.attempt,
        contract: route.contract.as_ref().map(|contract| proto::Contract {
            freshness_p99_ms: contract.freshness.as_ref().map(|freshness| freshness.p99.millis()),
            complete_within_ms: contract.complete_within.map(Duration::millis),
        }),
        about: route.about.clone().map(|Words { description, owners }| proto::Words { description, owners }),
    }
}

fn words(given: proto::Words) -> Result<Words, Refusal> {
    let proto::Words { description, owners } = given;
    if description.len().saturating_add(owners.iter().map(String::len).sum()) > MAX_WORDS {
        let message = format!("description and owners have more than {MAX_WORDS} bytes");
        return Err(Refusal::invalid("routes.about", message, "say it shorter"));
    }
    Ok(Words { description, owners })
}

fn contract(given: proto::Contract) -> Result<Contract, Refusal> {
    let proto::Contract { freshness_p99_ms, complete_within_ms } = given;
    // As a definition writes it, within the same bounds.
    let read = |field: &str, ms: Option<i64>| {
        let parsed = ms.map(|ms| Duration::parse(&format!("{ms}ms"))).transpose();
        parsed.map_err(|why| Refusal::invalid(field, why, "give what the definition says"))
    };
    Ok(Contract {
        freshness: read("routes.contract.freshness_p99_ms", freshness_p99_ms)?.map(|p99| Freshness { p99 }),
        complete_within: read("routes.contract.complete_within_ms", complete_within_ms)?,
    })
}

fn name(field: &str, text: &str) -> Result<QualifiedName, Refusal> {
    match parse_name(text) {
        Ok(name) if text.len() <= MAX_NAME => Ok(name),
        _ => Err(Refusal::invalid(field, "not a feature's name", "write namespace/name")),
    }
}

fn pinned(field: &str, revision: Option<proto::PinnedRevision>) -> Result<Option<Pinned>, Refusal> {
    let Some(proto::PinnedRevision { uid, digest }) = revision else { return Ok(None) };
    let fits = |text: &str| !text.is_empty() && text.len() <= MAX_NAME;
    if !fits(&uid) || !fits(&digest) {
        return Err(Refusal::invalid(field, "its UID or digest is missing, or too long", "give both as they were recorded"));
    }
    Ok(Some(Pinned { uid, digest }))
}
