//! The next entry of a feature in a pool's route: from what it is, what is wished, and what else is known.

use tress_configs::definition::Contract;
use tress_configs::route::Words;

use super::entry::{Entry, Pinned};

/// What is to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// What it is; lost, it is made again.
    Keep,
    /// Loaded beside what is read.
    Load(Pinned),
    /// Read from now on. What was read before stays loaded.
    CutOver(Pinned),
    /// Nothing beside what is read, but what consumers asked for.
    Retire(Pinned),
    /// No trial of this UID.
    DropTrial(String),
}

/// What is known beside the entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Of the feature's object.
    pub feature_uid: String,
    /// What its status says is read: counts where the entry was lost, or in a pool that it is new to.
    pub live: Option<Pinned>,
    /// Consumers asked for these by their digests.
    pub asked: Vec<Pinned>,
    /// What an attempt that has not ended replaced.
    pub baking: Option<Pinned>,
    /// The greatest epoch that a status or a pod has of this feature.
    pub epoch: u64,
    /// The number of the attempt that wishes.
    pub attempt: Option<u64>,
    /// What the feature promises; `None` = that is not known, and what was told stays.
    pub contract: Option<Contract>,
    /// What people say of it; `None` = that is not known, and what was told stays.
    pub about: Option<Words>,
}

/// The entry that takes the place of `entry`; `None` = it stays as it is, or there is none.
///
/// Guarantees: what is read changes by `CutOver` and `Retire` only; the epoch goes up with every change, above all that anybody has seen.
#[must_use]
pub fn follow(entry: Option<&Entry>, wish: &Wish, known: &Known) -> Option<Entry> {
    let Known { feature_uid, live, asked, baking, epoch: seen, attempt, contract, about } = known;
    // An object of the same name that is gone: what was read went with it.
    let ours = entry.filter(|entry| entry.feature_uid.as_deref().is_none_or(|uid| uid == feature_uid));
    let lost = || Entry { live: live.clone(), ..Entry::default() };
    let before = ours.cloned().unwrap_or_else(lost);
    let contract = contract.clone().or_else(|| before.contract.clone());
    let about = about.clone().or_else(|| before.about.clone());
    let mut next = Entry { feature_uid: Some(feature_uid.clone()), weight_bp: 0, contract, about, ..before.clone() };
    let mut beside = asked.clone();
    match wish {
        Wish::Keep => beside.extend(baking.clone()),
        Wish::Load(target) => next.trial = Some(target.clone()),
        Wish::CutOver(target) => {
            beside.extend(next.live.replace(target.clone()));
            beside.extend(baking.clone());
            next.trial = None;
        }
        Wish::Retire(target) => (next.live, next.trial) = (Some(target.clone()), None),
        Wish::DropTrial(uid) => next.trial = next.trial.filter(|trial| trial.uid != *uid),
    }
    next.trial = next.trial.filter(|trial| next.live.as_ref() != Some(trial));
    let routed = |pinned: &Pinned| next.live.as_ref() == Some(pinned) || next.trial.as_ref() == Some(pinned);
    beside.retain(|pinned| !routed(pinned));
    beside.sort();
    beside.dedup();
    next.loaded = beside;
    let highest = before.epoch.max(entry.map_or(0, |entry| entry.epoch));
    if Some(&next) == entry && *seen <= highest {
        return None;
    }
    // Nothing is read of it, and nothing is loaded: there is nothing to say.
    if entry.is_none() && next.revisions().next().is_none() {
        return None;
    }
    let attempt = if *wish == Wish::Keep { before.attempt } else { *attempt };
    Some(Entry { epoch: highest.max(*seen).saturating_add(1), attempt, ..next })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pinned(uid: &str) -> Pinned {
        Pinned { uid: uid.to_owned(), digest: format!("digest-{uid}") }
    }

    fn known() -> Known {
        Known { feature_uid: "f".to_owned(), attempt: Some(2), ..Known::default() }
    }

    fn entry(live: &str, epoch: u64) -> Entry {
        Entry { feature_uid: Some("f".to_owned()), live: Some(pinned(live)), epoch, attempt: Some(1), ..Entry::default() }
    }

    fn told(entry: &Entry) -> String {
        let one = |pinned: &Option<Pinned>| pinned.as_ref().map_or("-", |p| &p.uid).to_owned();
        let loaded: Vec<_> = entry.loaded.iter().map(|p| p.uid.as_str()).collect();
        format!("live {} trial {} loaded {} epoch {}", one(&entry.live), one(&entry.trial), loaded.join("+"), entry.epoch)
    }

    /// What becomes of an entry, wish by wish; each is repeated, which changes nothing.
    fn run(mut entry: Option<Entry>, wishes: &[Wish], known: &Known) -> Vec<String> {
        let mut seen = Vec::new();
        for wish in wishes {
            let next = follow(entry.as_ref(), wish, known);
            seen.push(next.as_ref().map_or("the same".to_owned(), told));
            entry = next.or(entry);
            assert_eq!(follow(entry.as_ref(), wish, known), None, "{wish:?} again");
        }
        seen
    }

    #[test]
    fn a_first_deploy_is_loaded_then_read() {
        let steps = [Wish::Keep, Wish::Load(pinned("a")), Wish::CutOver(pinned("a")), Wish::Retire(pinned("a")), Wish::Keep];
        assert_eq!(
            run(None, &steps, &known()),
            ["the same", "live - trial a loaded  epoch 1", "live a trial - loaded  epoch 2", "the same", "the same"]
        );
    }

    #[test]
    fn what_was_read_before_stays_loaded_until_it_retires() {
        let known = Known { baking: Some(pinned("a")), ..known() };
        let steps = [Wish::Load(pinned("b")), Wish::CutOver(pinned("b")), Wish::Keep, Wish::Retire(pinned("b"))];
        assert_eq!(
            run(Some(entry("a", 4)), &steps, &known),
            ["live a trial b loaded  epoch 5", "live b trial - loaded a epoch 6", "the same", "live b trial - loaded  epoch 7"]
        );
    }

    #[test]
    fn a_trial_that_is_dropped_leaves_what_is_read_alone() {
        let steps = [Wish::Load(pinned("b")), Wish::DropTrial("c".to_owned()), Wish::DropTrial("b".to_owned())];
        assert_eq!(
            run(Some(entry("a", 4)), &steps, &known()),
            ["live a trial b loaded  epoch 5", "the same", "live a trial - loaded  epoch 6"]
        );
    }

    #[test]
    fn a_lost_entry_is_made_again_above_every_epoch_that_was_seen() {
        let lost = Known { live: Some(pinned("a")), epoch: 41, ..known() };
        assert_eq!(run(None, &[Wish::Keep], &lost), ["live a trial - loaded  epoch 42"]);
        assert_eq!(run(Some(entry("a", 9)), &[Wish::Keep], &Known { epoch: 9, ..lost.clone() }), ["the same"]);
        // An older map came back.
        assert_eq!(follow(Some(&entry("a", 9)), &Wish::Keep, &lost).map(|e| told(&e)).unwrap(), "live a trial - loaded  epoch 42");
        // What status says does not count where the entry says otherwise.
        let other = Known { live: Some(pinned("z")), ..known() };
        assert_eq!(run(Some(entry("a", 9)), &[Wish::Keep], &other), ["the same"]);
    }

    #[test]
    fn a_feature_made_anew_begins_with_nothing_and_above_its_predecessor() {
        let anew = Known { feature_uid: "g".to_owned(), ..known() };
        let next = follow(Some(&entry("a", 9)), &Wish::Keep, &anew).unwrap();
        assert_eq!((told(&next).as_str(), next.feature_uid.as_deref()), ("live - trial - loaded  epoch 10", Some("g")));
    }

    #[test]
    fn what_consumers_asked_for_is_loaded_while_they_do() {
        let asking = Known { asked: vec![pinned("o"), pinned("a")], ..known() };
        assert_eq!(run(Some(entry("a", 4)), &[Wish::Keep], &asking), ["live a trial - loaded o epoch 5"]);
        assert_eq!(
            run(Some(Entry { loaded: vec![pinned("o")], ..entry("a", 5) }), &[Wish::Keep], &known()),
            ["live a trial - loaded  epoch 6"]
        );
    }

    #[test]
    fn what_is_promised_is_told_and_told_anew_when_it_changes() {
        let promise = |text: &str| Known { contract: serde_json::from_str(text).unwrap(), ..known() };
        let first = follow(Some(&entry("a", 4)), &Wish::Keep, &promise("{}")).unwrap();
        assert_eq!((first.epoch, follow(Some(&first), &Wish::Keep, &promise("{}"))), (5, None));
        let second = follow(Some(&first), &Wish::Keep, &promise(r#"{"completeWithin": "1d"}"#)).unwrap();
        assert!(second.epoch == 6 && second.live == first.live && second.contract != first.contract);
        assert_eq!(follow(Some(&second), &Wish::Keep, &known()), None);
        let saying = Known { about: Some(Words { description: "Newest first.".to_owned(), owners: Vec::new() }), ..known() };
        let third = follow(Some(&second), &Wish::Keep, &saying).unwrap();
        assert!(third.epoch == 7 && third.about == saying.about && third.contract == second.contract);
        assert_eq!((follow(Some(&third), &Wish::Keep, &saying), follow(Some(&third), &Wish::Keep, &known())), (None, None));
    }

    fn wish() -> impl Strategy<Value = Wish> {
        let revision = || prop::sample::select(vec!["a", "b", "c"]).prop_map(pinned);
        prop_oneof![
            Just(Wish::Keep),
            revision().prop_map(Wish::Load),
            revision().prop_map(Wish::CutOver),
            revision().prop_map(Wish::Retire),
            revision().prop_map(|p| Wish::DropTrial(p.uid)),
        ]
    }

    proptest! {
        #[test]
        fn epochs_only_rise_and_what_is_read_changes_by_cutting_over_only(wishes in prop::collection::vec((wish(), 0u64..9, any::<bool>()), 1..40)) {
            let mut current: Option<Entry> = None;
            for (wish, epoch, asked) in wishes {
                let asked = if asked { vec![pinned("o")] } else { Vec::new() };
                let known = Known { epoch, asked, ..known() };
                let Some(next) = follow(current.as_ref(), &wish, &known) else { continue };
                let before = current.take().unwrap_or_default();
                prop_assert!(next.epoch > before.epoch && next.epoch > epoch);
                match &wish {
                    Wish::CutOver(target) | Wish::Retire(target) => prop_assert_eq!(next.live.as_ref(), Some(target)),
                    Wish::Keep | Wish::Load(_) | Wish::DropTrial(_) => prop_assert_eq!(&next.live, &before.live),
                }
                let named: Vec<_> = next.live.iter().chain(&next.trial).chain(&next.loaded).collect();
                let mut once = named.clone();
                once.sort();
                once.dedup();
                prop_assert_eq!(once.len(), named.len(), "a revision is named once");
                current = Some(next);
            }
        }
    }
}
