//! All controllers: the one place that names them.

use crate::queue::Controller;
use crate::{backfill, deletion, feature, namespace, pool, rollout, sequence_revision, signal, signal_revision};

/// Every controller, not yet at work.
pub(super) fn all() -> Vec<Controller> {
    vec![
        Controller::new("signal", signal::triggers(), |context, key| Box::pin(signal::reconcile(context, key))),
        Controller::new("signal-revision", signal_revision::triggers(), |context, key| Box::pin(signal_revision::reconcile(context, key))),
        Controller::new("backfill", backfill::triggers(), |context, key| Box::pin(backfill::reconcile(context, key))),
        Controller::new("deletion", deletion::triggers(), |context, key| Box::pin(deletion::reconcile(context, key))),
        Controller::new("feature", feature::triggers(), |context, key| Box::pin(feature::reconcile(context, key))),
        Controller::new("sequence-revision", sequence_revision::triggers(), |context, key| {
            Box::pin(sequence_revision::reconcile(context, key))
        }),
        Controller::new("rollout", rollout::triggers(), |context, key| Box::pin(rollout::reconcile(context, key))),
        Controller::new("pool", pool::triggers(), |context, key| Box::pin(pool::reconcile(context, key))),
        Controller::new("namespace", namespace::triggers(), |context, key| Box::pin(namespace::reconcile(context, key))),
    ]
}
