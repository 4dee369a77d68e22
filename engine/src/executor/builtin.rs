//! Executors that are compiled in, by name.
//!
//! A new one is a file that ends in `inventory::submit!(Builtin { … })`: nothing else needs to know of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tress_configs::SignalPlan;
use tress_configs::plan::NamedType;

use super::Executor;
use crate::error::{Context, Error, Result};

/// An executor that can be named in a definition.
#[derive(Debug)]
pub struct Builtin {
    pub name: &'static str,
    /// One sentence: what it makes of a raw event.
    pub summary: &'static str,
    pub options: &'static [OptionSpec],
    /// Builds it; options have been checked against `options`.
    pub build: fn(&Options<'_>, &Declared<'_>) -> Result<Arc<dyn Executor>>,
}

inventory::collect!(Builtin);

/// One option of an executor.
#[derive(Debug)]
pub struct OptionSpec {
    pub name: &'static str,
    /// What it is for, and of what form.
    pub help: &'static str,
    pub need: Need,
}

/// Whether an option must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
}

/// The options as they were given.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a>(&'a BTreeMap<String, String>);

/// What the plan declares about this executor.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    pub plan: &'a SignalPlan,
    /// The columns it must add, in order.
    pub columns: &'a [NamedType],
}

impl Builtin {
    /// All that are compiled in, by name.
    #[must_use]
    pub fn all() -> BTreeMap<&'static str, &'static Self> {
        inventory::iter::<Self>.into_iter().map(|b| (b.name, b)).collect()
    }
}

impl<'a> Options<'a> {
    /// # Errors
    /// `Invalid` when it was not given.
    pub fn required(&self, name: &str) -> Result<&'a str> {
        self.optional(name).ok_or_else(|| Error::invalid(format!("option {name} is missing")))
    }

    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }
}

pub(super) fn build(name: &str, options: &BTreeMap<String, String>, declared: &Declared<'_>) -> Result<Arc<dyn Executor>> {
    let all = Builtin::all();
    let Some(builtin) = all.get(name) else {
        let known: Vec<_> = all.keys().copied().collect();
        return Err(Error::invalid(format!("executor.builtin.name: there is no executor {name}; there are: {}", known.join(", "))));
    };
    let executor = check(builtin, options).and_then(|()| (builtin.build)(&Options(options), declared));
    let executor = executor.context(|| format!("executor.builtin.options of {name}"))?;
    let found: Vec<_> = executor.schema().fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
    let wanted: Vec<_> = declared.columns.iter().map(|c| (c.name.clone(), c.column_type.arrow())).collect();
    if found != wanted {
        let found: Vec<_> = found.iter().map(|(name, data_type)| format!("{name}: {data_type}")).collect();
        return Err(Error::invalid(format!(
            "executor.builtin.columns: executor {name} gives ({}) with these options; declare those",
            found.join(", ")
        )));
    }
    Ok(executor)
}

fn check(builtin: &Builtin, options: &BTreeMap<String, String>) -> Result<()> {
    for name in options.keys() {
        if !builtin.options.iter().any(|o| o.name == name) {
            let known: Vec<_> = builtin.options.iter().map(|o| o.name).collect();
            return Err(Error::invalid(format!("there is no option {name}; there are: {}", known.join(", "))));
        }
    }
    for option in builtin.options {
        if option.need == Need::Required && !options.contains_key(option.name) {
            return Err(Error::invalid(format!("option {} is missing: {}", option.name, option.help)));
        }
    }
    Ok(())
}
