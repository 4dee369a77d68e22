//! Connections by name, opened when they are first asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tress_configs::nearest::nearest;
use tress_configs::platform::{Connection, PlatformFile, Topics};

use super::connect;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::log::Log;
use crate::registry::Schemas;

/// The connections of a platform file as it is now, and those that are open.
#[derive(Debug)]
pub struct Named(Mutex<State>);

#[derive(Debug)]
struct State {
    file: PlatformFile,
    open: BTreeMap<String, Open>,
    /// The schema registries that were asked for.
    registries: BTreeMap<String, Arc<Schemas>>,
}

/// An open connection.
#[derive(Debug, Clone)]
enum Open {
    Log(Arc<dyn Log>),
    Store(Lake),
}

impl Named {
    pub const fn new(file: PlatformFile) -> Self {
        Self(Mutex::new(State { file, open: BTreeMap::new(), registries: BTreeMap::new() }))
    }

    /// # Errors
    /// `NotFound` when there is none of that name; `Invalid` when it is an object store.
    pub fn log(&self, name: &str) -> Result<Arc<dyn Log>> {
        match self.open(name)? {
            Open::Log(log) => Ok(log),
            Open::Store(_) => Err(Error::invalid(format!("connection {name}: it is an object store, a Kafka is needed"))),
        }
    }

    /// # Errors
    /// `NotFound` when there is none of that name; `Invalid` when it is a Kafka.
    pub fn store(&self, name: &str) -> Result<Lake> {
        match self.open(name)? {
            Open::Store(lake) => Ok(lake),
            Open::Log(_) => Err(Error::invalid(format!("connection {name}: it is a Kafka, an object store is needed"))),
        }
    }

    /// The schemas of the registry of a Kafka; `None` = it has none. Copies are kept in `lake`.
    ///
    /// # Errors
    /// As [`Self::log`]; `NotFound` when a secret is not mounted.
    pub fn schemas(&self, name: &str, lake: &Lake) -> Result<Option<Arc<Schemas>>> {
        self.log(name)?;
        let mut state = self.0.lock();
        if let Some(schemas) = state.registries.get(name) {
            return Ok(Some(Arc::clone(schemas)));
        }
        let kafka = state.file.connections.get(name).and_then(|c| c.kafka.as_ref());
        let Some(registry) = kafka.and_then(|k| k.registry.as_ref()) else { return Ok(None) };
        let contract = connect::registry(registry, std::path::Path::new(&state.file.secrets));
        let contract = contract.map_err(|e| e.while_doing(format!("connection {name}")))?;
        let schemas = Arc::new(Schemas::of(contract, lake.clone()));
        state.registries.insert(name.to_owned(), Arc::clone(&schemas));
        Ok(Some(schemas))
    }

    /// How topics are made in the Kafka that keeps Tress's own.
    pub fn own_topics(&self) -> Topics {
        let state = self.0.lock();
        let connection = state.file.connections.get(&state.file.outputs.changelog);
        connection.and_then(|c| c.kafka.as_ref()).map(|kafka| kafka.topics.clone()).unwrap_or_default()
    }

    /// Whether definitions of a namespace may use a connection; one that there is not is nobody's to refuse.
    pub fn admits(&self, connection: &str, namespace: &str) -> bool {
        self.0.lock().file.connections.get(connection).is_none_or(|c| c.admits(namespace))
    }

    /// Takes a file in force. What is as it was stays open; what has changed is opened anew when it is asked for next. Who uses a
    /// connection goes on with what it has. Returns the names of what changed, sorted.
    pub fn replace(&self, file: PlatformFile) -> Vec<String> {
        let mut state = self.0.lock();
        let moved = file.secrets != state.file.secrets;
        let names: std::collections::BTreeSet<_> = file.connections.keys().chain(state.file.connections.keys()).cloned().collect();
        let new = |name: &String| moved || leads_to(&file, name) != leads_to(&state.file, name);
        let changed: Vec<String> = names.into_iter().filter(new).collect();
        for name in &changed {
            state.open.remove(name);
            state.registries.remove(name);
        }
        state.file = file;
        changed
    }

    fn open(&self, name: &str) -> Result<Open> {
        let mut state = self.0.lock();
        if let Some(open) = state.open.get(name) {
            return Ok(open.clone());
        }
        let connections = &state.file.connections;
        let Some(connection) = connections.get(name) else {
            let help = match nearest(name, connections.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", connections.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            return Err(Error::not_found(format!("connection {name}: the platform has none of this name; {help}")));
        };
        let secrets = std::path::Path::new(&state.file.secrets);
        let opened = match connection {
            Connection { kafka: Some(kafka), .. } => connect::kafka(kafka, secrets).map(Open::Log),
            Connection { object_store: Some(store), .. } => connect::store(store, secrets).map(Open::Store),
            Connection { .. } => Err(Error::invalid("it has no kind; give it kafka: {…} or objectStore: {…}")),
        };
        let opened = opened.map_err(|e| e.while_doing(format!("connection {name}")))?;
        state.open.insert(name.to_owned(), opened.clone());
        Ok(opened)
    }
}

/// Who may use it is no part of where it leads.
fn leads_to(file: &PlatformFile, name: &str) -> Option<Connection> {
    file.connections.get(name).map(|c| Connection { namespaces: Vec::new(), ..c.clone() })
}
