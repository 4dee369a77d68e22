//! The definitions, compiled, and the engine's parts that they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;
use tress_configs::name::QualifiedName;
use tress_configs::plan::BatchPlan;
use tress_configs::{FeaturePlan, Plan, SignalPlan};
use tress_engine::backfill::{Backfill, ExternalFiles, Mode, Outcome, Tables};
use tress_engine::base::{self, Demand, Demands, Residence};
use tress_engine::clock::FixedClock;
use tress_engine::history::History;
use tress_engine::lake::Lake;
use tress_engine::store::{Bases, ServedFeature, SignalStore};
use tress_engine::tail::Settings;

use crate::Places;
use crate::plans::Plans;

/// 2027-06-01: after everything that the generator writes, so that the whole raw log counts as complete.
pub const NOW: i64 = 1_811_808_000_000_000;

/// The plans of `bench/definitions.yaml`, and what is folded of them.
pub struct World {
    plans: Plans,
    pub tables: Lake,
    pub lake: Lake,
}

impl World {
    pub fn open(places: &Places) -> anyhow::Result<Self> {
        let plans = Plans::compile("bench/definitions.yaml", include_str!("../definitions.yaml"))?;
        Ok(Self { plans, tables: Lake::local(&places.data)?, lake: Lake::local(&places.lake)? })
    }

    pub fn feature(&self, name: &str) -> anyhow::Result<&Arc<FeaturePlan>> {
        self.plans.feature(name)
    }

    pub fn signal(&self, name: &str) -> anyhow::Result<&Arc<SignalPlan>> {
        self.plans.signal(name)
    }

    pub fn history(&self, signal: &str) -> anyhow::Result<History> {
        Ok(History::new(self.lake.clone(), &format!("bench.{signal}"), Arc::clone(self.signal(signal)?)))
    }

    pub fn lakes(&self) -> BTreeMap<String, Lake> {
        BTreeMap::from([("lake".to_owned(), self.tables.clone())])
    }

    /// Folds what is in the raw log into a signal's history, and makes base for these features. Returns the rows sealed.
    pub async fn fold(&self, signal: &str, features: &[&str]) -> anyhow::Result<u64> {
        let plan = self.signal(signal)?;
        let history = self.history(signal)?;
        let BatchPlan::External(log) = &plan.source.batch else { return Err(anyhow!("signal {signal}: its raw log is not external")) };
        let backfill = Backfill {
            history: history.clone(),
            raw: Arc::new(ExternalFiles::new(self.tables.clone(), plan, log)?),
            tables: Tables { plan: Arc::clone(plan), lakes: self.lakes() },
            clock: Arc::new(FixedClock::new(NOW)),
            parallelism: 2,
            shutdown: CancellationToken::new(),
        };
        let began = std::time::Instant::now();
        let rows = match backfill.run(&Mode::Incremental, |_| {}).await? {
            Outcome::Sealed(report) => report.sealed.counts.rows,
            other => return Err(anyhow!("fold {signal}: {other:?}; give an empty lake")),
        };
        eprintln!("{signal}: history after {:?}", began.elapsed());
        let list = features.iter().map(|f| Ok(Demand::of(self.feature(f)?, &plan.name))).collect::<anyhow::Result<Vec<_>>>()?;
        base::update(&history, &Demands { epoch: 1, list: list.into_iter().flatten().collect() }).await?;
        eprintln!("{signal}: base after {:?}", began.elapsed());
        Ok(rows)
    }

    /// A feature over what is folded, its base mapped from the lake's runs.
    pub async fn serve(&self, feature: &str) -> anyhow::Result<ServedFeature> {
        let plan = self.feature(feature)?;
        let mut stores = Vec::new();
        for read in &plan.signals {
            let QualifiedName { name, .. } = &read.name;
            let store = Arc::new(SignalStore::new(self.history(name)?, &Settings { memory: usize::MAX, spill_to: None }));
            Bases::new(Arc::clone(&store), Residence::Memory).refresh().await?;
            stores.push(store);
        }
        let digest = Plan::Feature(FeaturePlan::clone(plan)).digest();
        Ok(ServedFeature::new(Arc::clone(plan), digest, stores)?)
    }
}
