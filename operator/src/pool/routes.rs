//! The route map of a pool: computed whole, put whole, pushed. Nothing else writes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use tress_configs::definition::Contract;
use tress_configs::duration::Duration;
use tress_configs::route::Words;

use super::entry::{self, Entry, Pinned};
use super::follow::{Wish, follow};
use super::members::{Member, is_beyond, member, members};
use super::{hear, route_of};
use crate::context::Context;
use crate::control::proto;
use crate::error::{Error, Result};
use crate::workload::{self, Place};

/// What an attempt wishes for its feature.
#[derive(Debug, Clone)]
pub struct Wished<'a> {
    pub feature: &'a str,
    pub wish: Wish,
    /// The number of the attempt.
    pub attempt: u64,
}

/// Puts the route as it has to be, if it is not: of every feature of the pool, and of one as an attempt wishes. Gives back when it is
/// otherwise though nothing changes.
///
/// # Errors
/// `Conflict` when somebody else wrote it; when the write fails.
pub async fn write(context: &Context, place: (&str, &str), wished: Option<&Wished<'_>>) -> Result<Option<Timestamp>> {
    let map = route_of(context, place);
    let entries = map.as_deref().map(entry::entries).unwrap_or_default();
    let members = members(context, place, &entries);
    let until = members.values().filter_map(|member| member.until).min();
    let mut next = next(&entries, &members, wished);
    // A feature that cannot be read is not gone.
    let beyond = entries.iter().filter(|(feature, _)| is_beyond(context, place.0, feature));
    next.extend(beyond.map(|(feature, entry)| (feature.clone(), entry.clone())));
    // Broken keys are none of the entries: they are written anew with the first that is made again.
    let keys = map.as_deref().and_then(|map| map.data.as_ref()).map_or(0, BTreeMap::len);
    if map.is_some() && next == entries && keys == entries.len() {
        return Ok(until);
    }
    let (namespace, pool) = place;
    let here = Place { namespace: namespace.to_owned(), image: String::new(), secrets: Vec::new() };
    let object = workload::route(&here, pool, &next);
    let mut object: ConfigMap =
        serde_json::from_value(object).map_err(|e| Error::invalid(format!("the route of {namespace}/{pool} was rendered wrongly: {e}")))?;
    object.metadata.resource_version = map.as_deref().and_then(|map| map.metadata.resource_version.clone());
    context.writer.replace(&object).await?;
    let changed = next.iter().filter(|(feature, entry)| entries.get(*feature) != Some(entry));
    let changed: Vec<proto::Route> = changed.map(|(feature, entry)| wire(namespace, feature, entry)).collect();
    for (feature, entry) in next.iter().filter(|(feature, entry)| entries.get(*feature) != Some(entry)) {
        tracing::info!(namespace, pool, feature, epoch = entry.epoch, "a route was written");
    }
    context.pods.push(namespace, pool, changed).await;
    Ok(until)
}

/// As [`write`], of one feature alone: nothing is written or computed for the others where its entry is as it is wished already.
///
/// # Errors
/// As [`write`].
pub async fn wish(context: &Context, place: (&str, &str), wished: &Wished<'_>) -> Result<Option<Entry>> {
    let (namespace, pool) = place;
    let entry = || route_of(context, place).and_then(|map| entry::of(&map, wished.feature));
    let feature = context.cluster.features.get(namespace, wished.feature);
    let now = entry();
    let is_so = feature.is_some_and(|feature| {
        let pods = hear(context, place, Some(wished.feature));
        let member = member(context, (pool, &feature), now.as_ref(), &pods);
        member.is_none_or(|member| one(now.as_ref(), &member, Some(wished)).is_none())
    });
    if !is_so {
        write(context, place, Some(wished)).await?;
    }
    Ok(entry())
}

/// Tells pods again what the route says of a feature: one may have been away.
pub async fn push(context: &Context, (namespace, pool): (&str, &str), feature: &str) {
    if let Some(entry) = route_of(context, (namespace, pool)).and_then(|map| entry::of(&map, feature)) {
        context.pods.push(namespace, pool, vec![wire(namespace, feature, &entry)]).await;
    }
}

/// Every entry of the pool, as it has to be.
fn next(entries: &BTreeMap<String, Entry>, members: &BTreeMap<String, Member>, wished: Option<&Wished<'_>>) -> BTreeMap<String, Entry> {
    let mut next = BTreeMap::new();
    for (name, member) in members {
        let before = entries.get(name);
        let wished = wished.filter(|wished| wished.feature == name);
        next.extend(one(before, member, wished).or_else(|| before.cloned()).map(|entry| (name.clone(), entry)));
    }
    next
}

/// The entry that takes the place of `before`; `None` = it stays.
fn one(before: Option<&Entry>, Member { wish, known, until: _ }: &Member, wished: Option<&Wished<'_>>) -> Option<Entry> {
    let Some(Wished { wish: asked, attempt, .. }) = wished else { return follow(before, wish, known) };
    let known = super::follow::Known { attempt: Some(*attempt), ..known.clone() };
    follow(before, asked, &known)
}

fn wire(namespace: &str, feature: &str, entry: &Entry) -> proto::Route {
    let Entry { feature_uid, live, trial, loaded, weight_bp, epoch, attempt, contract, about } = entry.clone();
    let pinned = |Pinned { uid, digest }: Pinned| proto::PinnedRevision { uid, digest };
    proto::Route {
        feature: format!("{namespace}/{feature}"),
        feature_uid: feature_uid.unwrap_or_default(),
        live: live.map(pinned),
        trial: trial.map(pinned),
        loaded: loaded.into_iter().map(pinned).collect(),
        weight_bp,
        epoch,
        attempt,
        contract: contract.map(|Contract { freshness, complete_within }| proto::Contract {
            freshness_p99_ms: freshness.map(|freshness| freshness.p99.millis()),
            complete_within_ms: complete_within.map(Duration::millis),
        }),
        about: about.map(|Words { description, owners }| proto::Words { description, owners }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::follow::Known;

    fn entry(live: &str, epoch: u64) -> Entry {
        let live = Pinned { uid: live.to_owned(), digest: live.to_owned() };
        Entry { feature_uid: Some("f".to_owned()), live: Some(live), epoch, ..Entry::default() }
    }

    fn member() -> Member {
        Member { wish: Wish::Keep, known: Known { feature_uid: "f".to_owned(), ..Known::default() }, until: None }
    }

    #[test]
    fn one_wish_changes_one_entry_and_who_is_no_member_goes() {
        let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), entry(name, 3))).collect::<BTreeMap<_, _>>();
        let members: BTreeMap<String, Member> = ["a", "b", "new"].map(|name| (name.to_owned(), member())).into();
        let target = Pinned { uid: "t".to_owned(), digest: "t".to_owned() };
        let wished = Wished { feature: "b", wish: Wish::Load(target.clone()), attempt: 7 };
        let next = next(&named(&["a", "b", "gone"]), &members, Some(&wished));
        let loading = Entry { trial: Some(target), epoch: 4, attempt: Some(7), ..entry("b", 4) };
        assert_eq!(next, BTreeMap::from([("a".to_owned(), entry("a", 3)), ("b".to_owned(), loading)]));
    }

    #[test]
    fn a_route_says_the_same_on_the_wire() {
        let contract = serde_json::from_str(r#"{"freshness": {"p99": "10s"}}"#).unwrap();
        let about = Some(Words { description: "Newest first.".to_owned(), owners: vec!["team".to_owned()] });
        let said = Entry { attempt: Some(2), contract, about, ..entry("a", 9) };
        let proto::Route { feature, feature_uid, live, epoch, attempt, contract, about, .. } = wire("movies", "recent", &said);
        assert_eq!(about.map(|about| (about.description, about.owners)), Some(("Newest first.".to_owned(), vec!["team".to_owned()])));
        assert_eq!(contract.map(|c| (c.freshness_p99_ms, c.complete_within_ms)), Some((Some(10_000), None)));
        assert_eq!((feature.as_str(), feature_uid.as_str(), epoch, attempt), ("movies/recent", "f", 9, Some(2)));
        assert_eq!(live.map(|live| live.uid), Some("a".to_owned()));
    }
}
