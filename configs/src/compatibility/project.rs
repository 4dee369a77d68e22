//! A signal's plan, reduced to what one feature reads of it.

use std::collections::BTreeSet;

use crate::definition::OnMissing;
use crate::expression::columns_of;
use crate::plan::{ExecutorPlan, Origin, SignalPlan, SignalRead};

/// `signal` with only the columns that `read` names, and what they are made of. Raw fields stay: all of them decide which copy of an
/// event wins.
pub(super) fn projected(signal: &SignalPlan, read: &SignalRead) -> SignalPlan {
    let mut plan = signal.clone();
    let wanted: BTreeSet<&str> =
        read.columns.iter().map(|c| c.source.as_str()).chain(read.filter_columns.iter().map(String::as_str)).collect();
    plan.columns.retain(|c| wanted.contains(c.name.as_str()));
    plan.enrichments.retain(|e| e.on_missing == OnMissing::Drop || e.columns.iter().any(|c| wanted.contains(c.name.as_str())));
    for enrichment in &mut plan.enrichments {
        enrichment.columns.retain(|c| wanted.contains(c.name.as_str()));
    }
    for column in &mut plan.columns {
        // Which enrichment it is depends on those that went.
        if let Origin::Enrichment(index) = column.origin {
            let name = signal.enrichments.get(index as usize).map(|e| &e.name);
            let now = plan.enrichments.iter().position(|e| Some(&e.name) == name).and_then(|i| u32::try_from(i).ok());
            column.origin = now.map_or(column.origin, Origin::Enrichment);
        }
    }
    let keys = plan.enrichments.iter().flat_map(|e| e.lookup.key.iter().map(|k| k.ours.clone()));
    let mut needed: BTreeSet<String> = wanted.into_iter().map(str::to_owned).chain(keys).collect();
    if let ExecutorPlan::Declarative { derive, .. } = &mut plan.executor {
        // A derivation sees only earlier ones: backwards, each is needed or not by the time it is reached.
        for derived in derive.iter().rev() {
            if needed.contains(&derived.name) {
                needed.extend(columns_of(&derived.expr.sql));
            }
        }
        derive.retain(|d| needed.contains(&d.name));
    }
    plan
}
