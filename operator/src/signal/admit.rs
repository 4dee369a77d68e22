//! What the platform has to say of a definition that compiled: which connections its namespace may use, which time zones there are.

use jiff::tz::TimeZone;
use kube::ResourceExt;
use tress_configs::plan::{BatchPlan, SignalPlan};
use tress_configs::platform::{Connection, PlatformFile};
use tress_crds::SignalDefinition;
use tress_crds::condition::Reason;

/// Something that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub reason: Reason,
    /// With the field and the remedy.
    pub message: String,
}

/// Which kind of connection is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Kafka,
    ObjectStore,
}

/// All that is not allowed, in the order of the definition.
pub(super) fn refused(definition: &SignalDefinition, plan: &SignalPlan, platform: &PlatformFile) -> Vec<Refused> {
    let namespace = definition.namespace().unwrap_or_default();
    let mut named = vec![("definition.source.stream.connection".to_owned(), plan.source.stream.connection.as_str(), Wanted::Kafka)];
    if let BatchPlan::External(log) = &plan.source.batch {
        named.push(("definition.source.batch.connection".to_owned(), &log.connection, Wanted::ObjectStore));
    }
    for (index, enrichment) in plan.enrichments.iter().enumerate() {
        let at = format!("definition.enrichments[{index}].lookup.table.connection");
        named.push((at, &enrichment.lookup.connection, Wanted::ObjectStore));
    }
    let connection = |(at, name, wanted): (String, &str, Wanted)| connection((&at, name), wanted, &namespace, platform);
    named.into_iter().filter_map(connection).chain(zone(definition)).collect()
}

fn connection((at, name): (&str, &str), wanted: Wanted, namespace: &str, platform: &PlatformFile) -> Option<Refused> {
    // Whether others have a connection of that name is nobody's business here.
    let Some(found) = platform.connections.get(name).filter(|found| found.admits(namespace)) else {
        let kind = |found: &&(&String, &Connection)| of(found.1) == Some(wanted) && found.1.admits(namespace);
        let others: Vec<&str> = platform.connections.iter().filter(|c| kind(&c)).map(|(name, _)| name.as_str()).take(10).collect();
        let instead = if others.is_empty() { String::new() } else { format!(" it may use {};", others.join(", ")) };
        let message = format!(
            "{at}: the namespace {namespace} may not use a connection \"{name}\";{instead} the platform's owners can add {namespace} to its namespaces"
        );
        return Some(Refused { reason: Reason::ConnectionNotAllowed, message });
    };
    (of(found) != Some(wanted)).then(|| {
        let needed = if wanted == Wanted::Kafka { "a Kafka" } else { "an object store" };
        Refused { reason: Reason::Invalid, message: format!("{at}: the connection \"{name}\" is not {needed}: name one that is") }
    })
}

const fn of(connection: &Connection) -> Option<Wanted> {
    match (&connection.kafka, &connection.object_store) {
        (Some(_), None) => Some(Wanted::Kafka),
        (None, Some(_)) => Some(Wanted::ObjectStore),
        _ => None,
    }
}

fn zone(definition: &SignalDefinition) -> Option<Refused> {
    let backfill = definition.spec.runtime.as_ref()?.backfill.as_ref()?;
    let name = backfill.time_zone.as_deref()?;
    TimeZone::get(name).is_err().then(|| {
        let message = format!("runtime.backfill.timeZone: there is no time zone \"{name}\": write one such as UTC or Europe/Berlin");
        Refused { reason: Reason::Invalid, message }
    })
}
