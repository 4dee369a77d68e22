//! What is done for a backfill.

use k8s_openapi::api::batch::v1::Job as KubernetesJob;
use kube::ResourceExt;
use tress_configs::definition::Resources;
use tress_crds::backfill::BackfillSpec;

use super::decide::Effect;
use super::observe::Looked;
use crate::context::Context;
use crate::error::Result;
use crate::jobs::{self, Observed, Seen};
use crate::signal_revision::{place, rendered};
use crate::workload::{self, Filled, Owner};

pub(super) async fn act(context: &Context, looked: &Looked, effect: Effect) -> Result<()> {
    // Also where there is nothing any more that they could be made anew for.
    if effect == Effect::Clear {
        return clear(context, looked).await;
    }
    let Some(revision) = &looked.revision else { return Ok(()) };
    let namespace = revision.namespace().unwrap_or_default();
    let place = place(&context.platform.now(), &namespace);
    let revision = Owner { kind: "SignalRevision", name: revision.name_any(), uid: revision.uid().unwrap_or_default() };
    let owner = Owner { kind: "Backfill", name: looked.backfill.name_any(), uid: looked.backfill.uid().unwrap_or_default() };
    // As many as may work now.
    let spec = BackfillSpec { parallelism: Some(looked.share.max(1)), ..looked.backfill.spec.clone() };
    let filled = Filled { owner: &owner, spec: &spec, resources: resources(looked) };
    let inputs = rendered(&place, "");
    match effect {
        Effect::Nothing | Effect::Clear => Ok(()),
        Effect::Plan => jobs::make(context, workload::plan(&place, filled, &revision), &looked.plan, &inputs).await,
        Effect::Work { number, workers } => match looked.work.seen {
            Seen::Running => scale(context, looked).await,
            // It ended without its result, and waits to be made anew.
            _ if looked.facts.work.job == Seen::Running => Ok(()),
            _ if looked.share == 0 => Ok(()),
            _ => jobs::make(context, workload::work(&place, filled, &revision, (number, workers)), &looked.work, &inputs).await,
        },
        Effect::Seal { number } => jobs::make(context, workload::seal(&place, filled, &revision, number), &looked.seal, &inputs).await,
    }
}

/// Its jobs go.
async fn clear(context: &Context, looked: &Looked) -> Result<()> {
    for Observed { job, .. } in [&looked.seal, &looked.work, &looked.plan] {
        if let Some(job) = job {
            context.writer.delete(&**job).await?;
        }
    }
    Ok(())
}

fn resources(looked: &Looked) -> Option<&Resources> {
    looked.definition.as_ref()?.spec.runtime.as_ref()?.backfill.as_ref()?.resources.as_ref()
}

/// Has as many pods work as may, or none while it is suspended.
async fn scale(context: &Context, looked: &Looked) -> Result<()> {
    let (Some(job), share) = (&looked.work.job, looked.share) else { return Ok(()) };
    let suspend = looked.backfill.spec.suspend == Some(true) || share == 0;
    let is_so = |job: &KubernetesJob| {
        let spec = job.spec.as_ref();
        let suspended = spec.and_then(|spec| spec.suspend).unwrap_or_default();
        suspended == suspend && (suspend || spec.and_then(|spec| spec.parallelism) == Some(share))
    };
    if is_so(job) {
        return Ok(());
    }
    // The caches keep no templates.
    let whole: Option<KubernetesJob> = context.writer.fresh(&job.namespace().unwrap_or_default(), &job.name_any()).await?;
    let Some(mut whole) = whole.filter(|whole| whole.uid() == job.uid() && !is_so(whole)) else { return Ok(()) };
    if let Some(spec) = &mut whole.spec {
        spec.suspend = Some(suspend);
        if !suspend {
            spec.parallelism = Some(share);
        }
    }
    context.writer.replace(&whole).await?;
    Ok(())
}
