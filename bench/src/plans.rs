//! Definitions, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tress_configs::compile::Pins;
use tress_configs::lint::{SourceText, lint};
use tress_configs::source::Foreign;
use tress_configs::{FeaturePlan, Plan, SignalPlan};

/// The plans of one file of definitions, by name.
pub struct Plans {
    file: &'static str,
    signals: BTreeMap<String, Arc<SignalPlan>>,
    features: BTreeMap<String, Arc<FeaturePlan>>,
}

impl Plans {
    pub fn compile(file: &'static str, text: &str) -> anyhow::Result<Self> {
        let linted = lint(&[SourceText { file, text }], Foreign::Report, &Pins::default());
        let (mut signals, mut features) = (BTreeMap::new(), BTreeMap::new());
        for (object, compiled) in linted.outcome {
            match compiled.map_err(|issues| anyhow!("{object:?}: {issues:#?}"))?.plan {
                Plan::Signal(plan) => signals.insert(plan.name.name.clone(), Arc::new(plan)).is_some(),
                Plan::Feature(plan) => features.insert(plan.name.name.clone(), Arc::new(plan)).is_some(),
            };
        }
        if features.is_empty() {
            return Err(anyhow!("{file}: {:#?}", linted.issues));
        }
        Ok(Self { file, signals, features })
    }

    pub fn feature(&self, name: &str) -> anyhow::Result<&Arc<FeaturePlan>> {
        self.features.get(name).with_context(|| format!("there is no feature {name} in {}", self.file))
    }

    pub fn signal(&self, name: &str) -> anyhow::Result<&Arc<SignalPlan>> {
        self.signals.get(name).with_context(|| format!("there is no signal {name} in {}", self.file))
    }
}
