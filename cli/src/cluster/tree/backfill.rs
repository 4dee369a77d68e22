//! A Backfill: how many of its tasks are done, and the jobs that do them.

use tress_crds::Backfill;
use tress_crds::backfill::{BackfillPhase, BackfillStatus};

use super::{Item, State, View, advice, workload};
use crate::render::rows::grouped;

pub fn item(view: &View<'_>, backfill: &Backfill) -> Item {
    let metadata = &backfill.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let none = BackfillStatus::default();
    let status = backfill.status.as_ref().unwrap_or(&none);
    let mut item = Item::new("Backfill", "backfill", (namespace, name));
    let suspended = backfill.spec.suspend == Some(true);
    item.state = state(status.phase);
    item.reason = match status.phase {
        _ if suspended && item.state == State::Going => Some("Paused".to_owned()),
        Some(BackfillPhase::Succeeded) => None,
        Some(phase) => Some(format!("{phase:?}")),
        None => Some("NotObserved".to_owned()),
    };
    item.facts.put("revision", backfill.spec.revision.clone(), "");
    if let Some(phase) = status.phase {
        item.facts.put("phase", format!("{phase:?}"), "");
    }
    progress(&mut item, status);
    let at = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.as_ref().map(|t| t.0.as_microsecond());
    match at(&status.ended) {
        Some(ended) => item.facts.ago("ended", (Some(ended), view.now), |ago| format!("{ago} ago")),
        None => item.facts.ago("started", (at(&status.started), view.now), |ago| format!("for {ago}")),
    }
    // Its conditions say why, where the phase does not.
    if item.state != State::Ready {
        item.message = status
            .conditions
            .iter()
            .find(|c| c.type_ == "Stalled" || c.type_ == "Ready")
            .map(|c| c.message.clone())
            .filter(|m| !m.is_empty());
    }
    item.children = workload::jobs_of(view, (namespace, name));
    item.next = match item.state {
        State::Failed => {
            let failed = item.children.iter().find(|job| job.state == State::Failed);
            failed.map(|job| advice::logs(view, namespace, &format!("job/{}", job.name)))
        }
        State::Going if suspended => Some(view.commands.tress(&format!("resume backfill/{name}"), namespace)),
        _ => None,
    };
    item
}

fn progress(item: &mut Item, status: &BackfillStatus) {
    let count = |n: i64| grouped(u64::try_from(n).unwrap_or(0));
    // Workers share the tasks: what is done is told by worker.
    if let (Some(done), Some(workers)) = (status.done, status.workers) {
        let shown =
            if item.state == State::Going { format!("{} of {} workers done", count(done), count(workers.into())) } else { String::new() };
        item.facts.put("done", done, shown);
        item.facts.put("workers", workers, "");
    }
    for (name, value, words) in [
        ("tasks", status.tasks, "tasks"),
        ("rawEvents", status.raw_events, "raw events"),
        ("rows", status.rows, "rows"),
        ("dead", status.dead, "dead letters"),
    ] {
        if let Some(value) = value.filter(|value| *value > 0 || name != "dead") {
            item.facts.put(name, value, format!("{} {words}", count(value)));
        }
    }
    if !status.failed.is_empty() {
        item.facts.put("failed", status.failed.clone(), format!("failed workers {}", status.failed.join(", ")));
    }
}

pub const fn state(phase: Option<BackfillPhase>) -> State {
    match phase {
        None | Some(BackfillPhase::Unknown) => State::Unknown,
        Some(BackfillPhase::Succeeded) => State::Ready,
        Some(BackfillPhase::Failed) => State::Failed,
        Some(BackfillPhase::Pending | BackfillPhase::Planning | BackfillPhase::Working | BackfillPhase::Sealing) => State::Going,
    }
}
