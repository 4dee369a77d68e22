//! The numbered list of features that the base of a signal's revision is made for.

use k8s_openapi::api::core::v1::ConfigMap;
use tress_configs::job::Demanded;
use tress_crds::SignalRevision;
use tress_crds::revision::Demands;
use xxhash_rust::xxh3::xxh3_128;

/// What the map with the list of a revision is called.
#[must_use]
pub fn list_of(revision: &str) -> String {
    format!("{revision}-list")
}

/// The list in its map; `None` = it is damaged: it is written anew.
#[must_use]
pub fn parse(map: &ConfigMap) -> Option<Demanded> {
    Demanded::from_json(map.data.as_ref()?.get("demands.json")?).ok()
}

/// Whether the base of a signal's revision was made for the feature's plan of this digest. `list`: the revision's list, from its map.
#[must_use]
pub fn covers(revision: &SignalRevision, list: Option<&ConfigMap>, digest: &str) -> bool {
    let demands = revision.status.as_ref().and_then(|status| status.demands.as_ref());
    let (Some(demands), Some(list)) = (demands, list.and_then(parse)) else { return false };
    let number = i64::try_from(list.number).unwrap_or(i64::MAX);
    // A list that is being changed counts when its map has what its number stands for.
    let is_whole = number == demands.number && hash(&list.features) == demands.digest;
    is_whole && demands.covered >= Some(number) && list.features.iter().any(|feature| feature == digest)
}

/// What follows when base is to be made for `wanted` (sorted). `list`: what was written last; `reported`: the greatest number that a job
/// made base for.
///
/// The number rises with every change of the list. A list that lost features is covered by a base that covered it before.
pub(super) fn next(before: Option<&Demands>, list: Option<&Demanded>, wanted: &[String], reported: Option<i64>) -> Demands {
    let digest = hash(wanted);
    let covered = before.and_then(|before| before.covered).max(reported);
    let written = list.map_or(0, |list| i64::try_from(list.number).unwrap_or(i64::MAX - 1));
    match before {
        Some(before) if before.digest == digest => {
            // Jobs know of a later list than we do: the count was lost, and that list is not this one.
            let number = if covered > Some(before.number) { covered.unwrap_or_default() + 1 } else { before.number };
            Demands { number, digest, covered }
        }
        _ => {
            let number = before.map_or(0, |before| before.number).max(written).max(covered.unwrap_or_default()) + 1;
            let was_covered = before.is_some_and(|before| covered >= Some(before.number) && written == before.number);
            let lost_only = list.is_some_and(|list| wanted.iter().all(|w| list.features.contains(w)));
            let covered = if was_covered && lost_only { Some(number) } else { covered };
            Demands { number, digest, covered }
        }
    }
}

/// Of a list.
fn hash(features: &[String]) -> String {
    format!("{:032x}", xxh3_128(features.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn list(number: u64, names: &[&str]) -> Demanded {
        Demanded::new(number, wanted(names))
    }

    #[test]
    fn the_number_rises_with_every_change_and_a_repeat_changes_nothing() {
        let first = next(None, None, &wanted(&["a"]), None);
        assert_eq!((first.number, first.covered), (1, None));
        assert_eq!(next(Some(&first), Some(&list(1, &["a"])), &wanted(&["a"]), None), first);
        let covered = next(Some(&first), Some(&list(1, &["a"])), &wanted(&["a"]), Some(1));
        assert_eq!((covered.number, covered.covered), (1, Some(1)));
        let more = next(Some(&covered), Some(&list(1, &["a"])), &wanted(&["a", "b"]), Some(1));
        assert_eq!((more.number, more.covered), (2, Some(1)));
    }

    #[test]
    fn a_list_that_only_lost_features_is_covered_as_the_one_before_was() {
        let both =
            Demands { covered: Some(3), ..next(Some(&Demands { number: 2, ..Demands::default() }), None, &wanted(&["a", "b"]), None) };
        assert_eq!(both.number, 3);
        let less = next(Some(&both), Some(&list(3, &["a", "b"])), &wanted(&["b"]), Some(3));
        assert_eq!((less.number, less.covered), (4, Some(4)));
        let uncovered = next(Some(&Demands { covered: Some(2), ..both.clone() }), Some(&list(3, &["a", "b"])), &wanted(&["b"]), None);
        assert_eq!((uncovered.number, uncovered.covered), (4, Some(2)));
        // What was written is not what was counted: nothing is known of it.
        let unwritten = next(Some(&both), Some(&list(2, &["a", "b"])), &wanted(&["b"]), None);
        assert_eq!((unwritten.number, unwritten.covered), (4, Some(3)));
    }

    #[test]
    fn a_count_that_was_lost_goes_on_above_what_jobs_and_map_know() {
        assert_eq!(next(None, Some(&list(7, &["a"])), &wanted(&["a"]), None).number, 8);
        let anew = next(None, None, &wanted(&["a"]), None);
        let told = next(Some(&anew), Some(&list(1, &["a"])), &wanted(&["a"]), Some(9));
        assert_eq!((told.number, told.covered), (10, Some(9)));
    }

    #[test]
    fn a_feature_is_covered_when_base_was_made_for_the_list_that_names_it() {
        let demands = Demands { covered: Some(1), ..next(None, None, &wanted(&["a"]), None) };
        let map = |list: &Demanded| ConfigMap {
            data: Some([("demands.json".to_owned(), serde_json::to_string(list).unwrap())].into()),
            ..ConfigMap::default()
        };
        let mut revision: SignalRevision = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "r"},
            "spec": {"signal": "s", "schemaVersion": 1, "semantics": 1, "sourceHash": "h", "digest": "d", "plan": "", "source": ""},
        }))
        .unwrap();
        assert!(!covers(&revision, Some(&map(&list(1, &["a"]))), "a"));
        revision.status.get_or_insert_default().demands = Some(demands.clone());
        assert!(covers(&revision, Some(&map(&list(1, &["a"]))), "a"));
        assert!(!covers(&revision, Some(&map(&list(1, &["a"]))), "b") && !covers(&revision, None, "a"));
        // The status is ahead of the map, or the map holds something else.
        assert!(!covers(&revision, Some(&map(&list(2, &["a"]))), "a"));
        assert!(!covers(&revision, Some(&map(&list(1, &["a", "b"]))), "a"));
        revision.status.get_or_insert_default().demands = Some(Demands { covered: None, ..demands });
        assert!(!covers(&revision, Some(&map(&list(1, &["a"]))), "a"));
    }
}
