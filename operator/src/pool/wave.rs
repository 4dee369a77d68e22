//! Which engine a pool runs: a new one comes to a few pools at a time, never in the midst of an attempt, and only if it runs every plan.

use kube::ResourceExt;
use tress_crds::rollout::Phase;

use super::{entry, is_settled, of_made, route_of};
use crate::context::Context;
use crate::workload::pool_pods;

/// What is seen of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The platform's.
    pub wanted: String,
    /// `None` = it has no pods yet.
    pub current: Option<String>,
    /// How many of its pods get requests.
    pub answering: i32,
    /// A revision whose plan the wanted engine does not run.
    pub uncovered: Option<String>,
    /// An attempt that pods take part in.
    pub attempt: Option<String>,
    /// How many other pools bring up new pods, of how many.
    pub rolling: usize,
    pub pools: usize,
}

impl Seen {
    /// Whether it runs another engine than the platform's.
    pub fn is_behind(&self) -> bool {
        self.current.as_ref().is_some_and(|current| *current != self.wanted)
    }
}

/// The engine that it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    Run(String),
    /// As before, for now.
    Wait {
        image: String,
        why: String,
    },
}

impl Image {
    pub fn name(&self) -> &str {
        match self {
            Self::Run(image) | Self::Wait { image, .. } => image,
        }
    }
}

/// Decides.
#[must_use]
pub fn image(seen: &Seen) -> Image {
    let Seen { wanted, current, answering, uncovered, attempt, rolling, pools } = seen;
    let Some(current) = current.as_ref().filter(|current| *current != wanted) else { return Image::Run(wanted.clone()) };
    let wait = |why: String| Image::Wait { image: current.clone(), why };
    if let Some(revision) = uncovered {
        return wait(format!("{wanted} does not run the plan of {revision}"));
    }
    // Nobody is disturbed, and another engine may be what helps.
    if *answering == 0 {
        return Image::Run(wanted.clone());
    }
    if let Some(attempt) = attempt {
        return wait(format!("the attempt {attempt} goes on"));
    }
    if *rolling >= (pools / 10).max(1) {
        return wait("other pools bring up new pods".to_owned());
    }
    Image::Run(wanted.clone())
}

/// Looks.
pub fn observe(context: &Context, place @ (namespace, pool): (&str, &str)) -> Seen {
    let (cluster, platform) = (&context.cluster, context.platform.now());
    let own = cluster.deployments.get(namespace, &pool_pods(pool));
    let template = own.as_ref().and_then(|d| d.spec.as_ref()?.template.spec.as_ref());
    let current = template.and_then(|spec| spec.containers.first()?.image.clone());
    let answering = own.as_ref().and_then(|d| d.status.as_ref()?.available_replicas).unwrap_or_default();
    let takes_part = |phase| matches!(phase, Phase::Loading | Phase::CuttingOver | Phase::Retiring | Phase::Aborting);
    let rollouts = cluster.rollouts.within(namespace);
    let here = rollouts.iter().filter(|rollout| rollout.spec.pool == pool);
    let attempt = here.filter(|r| r.status.as_ref().is_some_and(|s| s.phase.is_some_and(takes_part))).map(|r| r.name_any()).next();
    let deployments = cluster.deployments.list();
    let others: Vec<_> = deployments.iter().filter(|d| of_made(&***d).is_some()).collect();
    let is_other = |d: &&&std::sync::Arc<k8s_openapi::api::apps::v1::Deployment>| own.as_ref().is_none_or(|own| own.uid() != d.uid());
    let rolling = others.iter().filter(is_other).filter(|d| !is_settled(d)).count();
    let routed: Vec<String> = route_of(context, place)
        .map(|map| entry::entries(&map).values().flat_map(|e| e.revisions().map(|p| p.uid.clone()).collect::<Vec<_>>()).collect())
        .unwrap_or_default();
    let [least, most] = platform.engine.semantics;
    let runs = |semantics: i32| (least..=most).contains(&semantics);
    let revisions = cluster.sequence_revisions.within(namespace);
    let uncovered = revisions
        .iter()
        .filter(|revision| revision.uid().is_some_and(|uid| routed.contains(&uid)))
        .find(|revision| !runs(revision.spec.semantics))
        .map(|revision| revision.name_any());
    Seen { wanted: platform.engine.image.clone(), current, answering, uncovered, attempt, rolling, pools: others.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_engine_comes_to_few_pools_at_a_time_and_only_where_it_runs_every_plan() {
        let some = |text: &str| Some(text.to_owned());
        let seen =
            Seen { wanted: "new".to_owned(), current: some("old"), answering: 1, uncovered: None, attempt: None, rolling: 0, pools: 3 };
        let runs = |seen: Seen| image(&seen).name().to_owned();
        assert_eq!(runs(seen.clone()), "new");
        assert_eq!(runs(Seen { uncovered: some("r"), ..seen.clone() }), "old");
        assert_eq!(runs(Seen { attempt: some("f-3"), ..seen.clone() }), "old");
        assert_eq!(runs(Seen { rolling: 1, ..seen.clone() }), "old");
        assert_eq!(runs(Seen { rolling: 1, pools: 20, ..seen.clone() }), "new");
        assert_eq!(runs(Seen { rolling: 2, pools: 20, ..seen.clone() }), "old");
        // Nor does one wait that does not answer: each of two that a wrong image keeps from it would wait for the other.
        let silent = Seen { answering: 0, attempt: some("f-3"), rolling: 9, ..seen.clone() };
        assert_eq!(runs(silent.clone()), "new");
        assert_eq!(runs(Seen { uncovered: some("r"), ..silent }), "old");
        // What is new, and what runs it already, waits for nobody.
        for current in [None, some("new")] {
            assert_eq!(runs(Seen { current, rolling: 9, uncovered: some("r"), ..seen.clone() }), "new");
        }
    }
}
