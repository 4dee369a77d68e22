//! What is done about a record.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use tress_configs::job::{Facts as Made, HistoryIs};
use tress_crds::condition::Reason;

use super::Record;
use super::decide::{Action, Facts};
use crate::context::Context;
use crate::error::Result;
use crate::event::Tone;
use crate::jobs::{self, Seen};
use crate::signal_revision::rendered;
use crate::workload::{self, Owner, Place};

pub(super) async fn act(context: &Context, (map, record): (&ConfigMap, &Record), action: Action, facts: &Facts) -> Result<()> {
    let Record { namespace, revision, uid } = record;
    match action {
        Action::Nothing => Ok(()),
        Action::Drop => {
            let platform = context.platform.now();
            let (connections, secrets) = workload::all_connections(&platform.file, &context.home);
            let place = Place { namespace: context.home.to_string(), image: platform.engine.image.clone(), secrets };
            let inputs = rendered(&place, &connections.to_string());
            // The account of its pods is the namespace's, which has it as long as there are records.
            context.writer.ensure(connections, &inputs).await?;
            let owner = Owner { kind: "ConfigMap", name: map.name_any(), uid: map.uid().unwrap_or_default() };
            let job = workload::drop_elsewhere(&place, &owner, (&map.name_any(), uid));
            jobs::make(context, job, &facts.drop, &inputs).await
        }
        Action::Forget => {
            if let Seen::Succeeded(Some(report)) = &facts.drop.seen {
                let kept = matches!(&report.facts, Some(Made::Dropped { history: HistoryIs::Pinned, .. }));
                let what = if kept { "its history stays, for a dataset names a version of it" } else { "nothing of it is left" };
                tracing::info!(namespace, revision, uid, kept, "what belonged to a signal revision is dropped");
                let note = format!("the signal revision {namespace}/{revision} ({uid}) is dropped; {what}");
                context.events.say(map, Tone::Normal, "Dropped", &note);
            }
            context.writer.delete(map).await
        }
        Action::Tell => {
            let note = format!(
                "topics and tables of the signal revision {namespace}/{revision} ({uid}) are left: {}; a Secret of the same name may be \
                 missing in this namespace",
                facts.drop.reasons()
            );
            context.events.say(map, Tone::Warning, Reason::JobFailed, &note);
            Ok(())
        }
    }
}
