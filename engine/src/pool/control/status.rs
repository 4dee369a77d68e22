//! What the process says of itself, gathered from all that know.

use std::sync::atomic::Ordering;

use tress_configs::name::QualifiedName;

use super::wire::write_pinned;
use crate::pool::Shared;
use crate::pool::signals::Signal;
use crate::pool::tracked::Beside;
use crate::serve::wire::revision as described;
use crate::serve::{Pinned, Route, State, StateName, proto};
use crate::store::ServedFeature;

/// Everything, in one answer.
pub async fn status(shared: &Shared) -> proto::GetStatusResponse {
    let watch = shared.watch.lock().await;
    let (mut features, troubles) = (Vec::new(), watch.troubles().to_vec());
    let now = shared.reader.clock.now_micros();
    let signals = shared.signals.all();
    let routes = shared.reader.routes.current();
    for name in shared.reader.features() {
        let route = routes.get(&name).map(|route| &**route);
        let file_epoch = watch.filed(&name.to_string()).unwrap_or(0);
        let seen = Seen { shared, feature: &name, route, signals: &signals, now };
        let shown = shared.reader.revisions(&name).into_iter().map(|described| seen.revision(described));
        let beside = shared.revisions.beside(&name).into_iter().map(|beside| seen.beside(beside));
        let revisions = shown.chain(beside).collect();
        features.push(proto::FeatureStatus {
            feature: name.to_string(),
            epoch: route.map_or(0, |route| route.epoch),
            file_epoch,
            trial_weight_bp: route.map_or(0, |route| route.weight_bp),
            revisions,
        });
    }
    let not_ready = shared.readiness.why_not(&shared.reader);
    let budget = shared.signals.budget();
    proto::GetStatusResponse {
        ready: not_ready.is_none(),
        not_ready: not_ready.unwrap_or_default(),
        features,
        signals: signals.iter().map(|(signal, users)| of_signal(signal, *users, now)).collect(),
        budget_bytes: budget.bytes(),
        used_bytes: budget.used(),
        troubles,
    }
}

/// How far a revision is that was asked for.
pub fn loaded(shared: &Shared, feature: &QualifiedName, pinned: &Pinned) -> proto::LoadedRevision {
    use proto::revision_description::State as Told;
    let beside = shared.revisions.beside(feature).into_iter().find(|beside| beside.pinned == *pinned);
    let (state, reason) = match (beside, shared.reader.registry.state(feature, &pinned.digest)) {
        (Some(beside), _) => (written(beside.state), beside.told.reason),
        (None, Some(State::Ready(_))) => (Told::Ready, String::new()),
        (None, Some(State::Failed { reason })) => (Told::Failed, reason),
        (None, Some(State::Loading) | None) => (Told::Loading, String::new()),
    };
    proto::LoadedRevision { feature: feature.to_string(), revision: Some(write_pinned(pinned)), state: state.into(), reason }
}

const fn written(state: StateName) -> proto::revision_description::State {
    use proto::revision_description::State as Told;
    match state {
        StateName::Loading => Told::Loading,
        StateName::Ready => Told::Ready,
        StateName::Failed => Told::Failed,
    }
}

/// What a revision is looked at with.
struct Seen<'a> {
    shared: &'a Shared,
    feature: &'a QualifiedName,
    route: Option<&'a Route>,
    signals: &'a [(std::sync::Arc<Signal>, u32)],
    now: i64,
}

impl Seen<'_> {
    fn revision(&self, revision: crate::serve::RevisionDescription) -> proto::RevisionStatus {
        let proto::RevisionDescription { digest, role, state, reason } = described(revision);
        let told = self.shared.revisions.told(&(self.feature.clone(), digest.clone()));
        let routed = self.route.and_then(|route| route.revisions().find(|pinned| pinned.digest == digest));
        let uid = told.as_ref().map(|told| told.uid.clone()).or_else(|| routed.map(|pinned| pinned.uid.clone())).unwrap_or_default();
        let totals = self.shared.reader.metrics.totals(self.feature, &digest);
        let mut status = proto::RevisionStatus {
            role,
            state,
            reason: told.as_ref().map(|told| told.reason.clone()).filter(|told| !told.is_empty()).unwrap_or(reason),
            signals: told.map(|told| told.signals).unwrap_or_default(),
            counters: Some(proto::Counters {
                requests: totals.requests,
                errors: totals.errors,
                degraded: 0,
                empty: totals.empty,
                deep: totals.deep,
            }),
            ..proto::RevisionStatus::default()
        };
        if let Some(State::Ready(loaded)) = self.shared.reader.registry.state(self.feature, &digest) {
            status.applied_through = applied_through(&loaded.served);
            status.freshness = status.applied_through.map(|through| self.now.saturating_sub(through));
            status.warm = status.signals.iter().all(|uid| self.is_warm(uid, &digest));
            status.pins = loaded.pins.all().into_iter().map(|pin| proto::ConsumerPin { consumer: pin.consumer, at: pin.at }).collect();
            if let Some(counters) = &mut status.counters {
                counters.degraded = loaded.degraded.load(Ordering::Relaxed);
            }
        }
        status.revision = Some(proto::PinnedRevision { uid, digest });
        status
    }

    /// One that readers do not have, for another one of the same contents is there.
    fn beside(&self, Beside { pinned, state, served, told }: Beside) -> proto::RevisionStatus {
        use proto::revision_description::{Role, State as Wire};
        let is_trial = self.route.and_then(|route| route.trial.as_ref()) == Some(&pinned);
        let is_live = self.route.and_then(|route| route.live.as_ref()) == Some(&pinned);
        let state = written(state);
        let role = match (is_live, is_trial) {
            (true, _) => Role::Live,
            (false, true) => Role::Trial,
            (false, false) => Role::Loaded,
        };
        let applied_through = served.and_then(|served| applied_through(&served));
        proto::RevisionStatus {
            role: role.into(),
            state: state.into(),
            reason: told.reason,
            warm: state == Wire::Ready && told.signals.iter().all(|uid| self.is_warm(uid, &pinned.digest)),
            signals: told.signals,
            applied_through,
            freshness: applied_through.map(|through| self.now.saturating_sub(through)),
            revision: Some(write_pinned(&pinned)),
            ..proto::RevisionStatus::default()
        }
    }

    /// Whether the base of a signal was made for this feature's revision, too. Without a base, everything is in the tail.
    fn is_warm(&self, uid: &str, feature: &str) -> bool {
        let Some((signal, _)) = self.signals.iter().find(|(signal, _)| signal.uid == uid) else { return false };
        let base = signal.followed.bases.shown();
        base.is_none_or(|base| base.manifest().demands.list.iter().any(|demand| demand.feature == feature))
    }
}

/// How far all its signals are; `None` = one has applied nothing yet.
fn applied_through(served: &ServedFeature) -> Option<i64> {
    let applied = served.signal_states().iter().map(|state| state.applied_through).collect::<Option<Vec<i64>>>();
    applied.and_then(|applied| applied.into_iter().min())
}

fn of_signal(signal: &Signal, users: u32, now: i64) -> proto::SignalStatus {
    let store = &signal.followed.store;
    let (tail_rows, tail_bytes) = store.tail_size();
    let applied_through = store.least_state().applied_through;
    proto::SignalStatus {
        uid: signal.uid.clone(),
        signal: signal.plan.name.to_string(),
        digest: signal.digest.clone(),
        applied_through,
        freshness: applied_through.map(|through| now.saturating_sub(through)),
        base: signal.followed.bases.shown().map(|base| proto::BaseStatus {
            manifest: base.manifest().number,
            demands_epoch: base.manifest().demands.epoch,
            history_version: base.manifest().history,
            bytes: base.manifest().bytes(),
        }),
        tail_rows: tail_rows as u64,
        tail_bytes: tail_bytes as u64,
        users,
        troubles: signal.troubles(),
    }
}
