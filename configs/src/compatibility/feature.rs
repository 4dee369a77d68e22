//! What changes between two plans of a feature.

use std::sync::Arc;

use super::project::projected;
use super::{Class, Difference, Found, reordered, schema, signal};
use crate::plan::{FeaturePlan, SignalPlan, SignalRead};

pub(super) fn differences(live: &FeaturePlan, new: &FeaturePlan, plans: &dyn Fn(&str) -> Option<Arc<SignalPlan>>) -> Vec<Difference> {
    let FeaturePlan { version: _, semantics, name, entity, signals, length, window_ms, deduplicate, view, columns, sunset } = new;
    let mut found = Found::default();
    found.put(live.name != *name, Class::Breaking, "name", "it is another feature");
    found.put(live.entity != *entity, Class::Breaking, "entity", "the entity has another type");
    found.put(live.semantics != *semantics, Class::Behavioural, "semantics", "the engine's answers changed");
    found.put(live.length != *length, Class::Behavioural, "length", "sequences have another length");
    found.put(live.window_ms != *window_ms, Class::Behavioural, "windowMs", "the window is another");
    found.put(live.deduplicate != *deduplicate, Class::Behavioural, "deduplicate", "other events count as equal");
    found.put(live.view != *view, Class::Behavioural, "view", "events are shown in another way");
    found.put(live.sunset != *sunset, Class::Compatible, "sunset", "it is deprecated, or no longer");
    for after in signals {
        match live.signals.iter().find(|l| l.name == after.name) {
            None => found.put(true, Class::Behavioural, &format!("signals.{}", after.name), "a signal is added"),
            Some(before) => read(before, after, plans, &mut found),
        }
    }
    for before in live.signals.iter().filter(|l| signals.iter().all(|s| s.name != l.name)) {
        found.put(true, Class::Behavioural, &format!("signals.{}", before.name), "a signal is no longer read");
    }
    found.put(reordered(&live.columns, columns), Class::Behavioural, "columns", "columns come in another order");
    found.0.extend(schema(&live.columns, columns));
    found.0
}

/// One signal, as both read it.
fn read(live: &SignalRead, new: &SignalRead, plans: &dyn Fn(&str) -> Option<Arc<SignalPlan>>, found: &mut Found) {
    let SignalRead { name, schema_version, digest, retention_ms, columns, filter, filter_columns: _, required_found, length } = new;
    let at = format!("signals.{name}");
    // A column more of the same rows changes nothing that is read today; one less shows in the schema.
    let moved = live.columns.iter().any(|c| columns.iter().any(|n| n.output == c.output && n.source != c.source));
    found.put(moved, Class::Behavioural, &format!("{at}.columns"), "a column comes from another column of the signal");
    found.put(live.filter != *filter, Class::Behavioural, &format!("{at}.where"), "other rows of the signal are read");
    found.put(live.length != *length, Class::Behavioural, &format!("{at}.length"), "the signal's share is another");
    found.put(
        live.required_found != *required_found,
        Class::Behavioural,
        &format!("{at}.requiredFound"),
        "other rows are dropped for want of an enrichment",
    );
    found.put(live.retention_ms != *retention_ms, Class::Behavioural, &format!("{at}.retentionMs"), "events are kept for another time");
    if live.digest == *digest {
        return;
    }
    // What the feature read before, under both revisions: is it the same?
    let class = plans(&live.digest).zip(plans(digest)).map_or(Class::Behavioural, |(before, after)| {
        let differs = signal::differences(&projected(&before, live), &projected(&after, live));
        // The schema that readers see is the feature's own; another schema version of a signal is other data.
        differs
            .iter()
            .filter(|d| !d.path.starts_with("columns"))
            .map(|d| d.class.min(Class::Behavioural))
            .max()
            .unwrap_or(Class::Compatible)
    });
    let class = if live.schema_version == *schema_version { class } else { Class::Behavioural };
    found.put(true, class, &format!("{at}.digest"), "another revision of the signal is read");
}
