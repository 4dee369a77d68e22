//! Routes as text: a file, or a key of a map that is mounted as one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Route, WHOLE_BP};
use crate::name::QualifiedName;

/// The format of route files. A change of what decides about reads is another version.
pub const ROUTE_VERSION: u32 = 1;

/// `{"version": 1, "features": {"namespace/name": {…}}}`. The files of a folder are read as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFile {
    pub version: u32,
    /// By `namespace/name`.
    pub features: BTreeMap<String, Route>,
}

/// Why a text is no route file, or routes cannot be as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARoute(String);

impl Default for RouteFile {
    fn default() -> Self {
        Self { version: ROUTE_VERSION, features: BTreeMap::new() }
    }
}

impl RouteFile {
    /// # Errors
    /// Naming the field, for text that is no route file or of a format that is not known here.
    pub fn from_json(bytes: &[u8]) -> Result<Self, NotARoute> {
        let file: Self = serde_json::from_slice(bytes).map_err(|e| NotARoute(format!("not a route file: {e}")))?;
        file.check()?;
        Ok(file)
    }

    /// Whether it can be so.
    ///
    /// # Errors
    /// Naming the field.
    pub fn check(&self) -> Result<(), NotARoute> {
        if self.version == 0 || self.version > ROUTE_VERSION {
            return Err(NotARoute(format!("version: route format {} is not known here; use a newer program", self.version)));
        }
        for (name, route) in &self.features {
            parse_name(name)?;
            if route.weight_bp > WHOLE_BP {
                return Err(NotARoute(format!("features.{name}.weightBp: {} is more than {WHOLE_BP}", route.weight_bp)));
            }
            if route.weight_bp > 0 && route.trial.is_none() {
                return Err(NotARoute(format!("features.{name}.weightBp: there is no trial to give a share to")));
            }
        }
        Ok(())
    }
}

/// `namespace/name`.
///
/// # Errors
/// When it is not that.
pub fn parse_name(text: &str) -> Result<QualifiedName, NotARoute> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(QualifiedName::new(namespace, name))
        }
        _ => Err(NotARoute("a feature is named namespace/name".to_owned())),
    }
}
