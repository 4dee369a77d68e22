//! Answers requests: route → revision → query → read → profile. Both protocols call it and only translate.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tress_configs::name::QualifiedName;

use super::admission::{Admission, Budget, Permit};
use super::describe::{self, Description};
use super::nearest;
use super::profile::{Circumstances, EntityProfile, Profile, Promised};
use super::refusal::{Code, Refusal};
use super::registry::{Registry, Revision, State};
use super::request::{self, Ask, Bound, Choice, MAX_ENTITIES, Wanted};
use super::route::{Chosen, Route, Routes};
use crate::clock::{Clock, Stopwatch};
use crate::entity::Entity;
use crate::error::{Error, ErrorKind};
use crate::metrics::{Answered, Metrics, ReadResult};
use crate::store::Answer;

/// Reads of one batch that may be under way at once: those in memory end at once, those of history overlap.
const BATCH_READS: usize = 16;
/// What a read of history may hold beside its reply: pages of the files that it looks into.
const HISTORY_READ: usize = 1 << 20;

/// Answers requests from what is loaded.
#[derive(Debug)]
pub struct Reader {
    pub registry: Arc<Registry>,
    pub routes: Arc<Routes>,
    pub admission: Admission,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
}

/// A sequence.
#[derive(Debug)]
pub struct Outcome {
    /// As it was read: dictionaries are not decoded yet.
    pub rows: RecordBatch,
    /// Of the reply: plain.
    pub schema: SchemaRef,
    pub profile: Profile,
    /// Held until the reply is encoded.
    pub permit: Permit,
}

/// Sequences of many entities, all with the same columns.
#[derive(Debug)]
pub struct Outcomes {
    /// Per entity, in request order.
    pub rows: Vec<RecordBatch>,
    pub schema: SchemaRef,
    /// Of them all.
    pub profile: Profile,
    /// Per entity, in request order.
    pub entities: Vec<EntityProfile>,
    pub permit: Permit,
}

/// A revision, and what is asked of it.
#[derive(Debug, Clone)]
struct Bind {
    revision: Arc<Revision>,
    bound: Bound,
}

/// What one request sees of a feature: taken once.
#[derive(Debug)]
struct View {
    name: QualifiedName,
    route: Option<Arc<Route>>,
    now: i64,
}

/// Who answers for an entity.
#[derive(Debug, Clone)]
struct Answerer {
    revision: Arc<Revision>,
    stood_in: bool,
}

impl Reader {
    /// One entity.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` naming what is wrong and what is nearest; `Unavailable` for a revision that is not ready or whose
    /// data does not answer; `ResourceExhausted` when too much is asked.
    pub async fn get(&self, feature: &str, entity: &Ask, wanted: &Wanted) -> Result<Outcome, Refusal> {
        let view = self.view(feature)?;
        let entity = request::entity(entity, self.scalar(&view, &wanted.choice)?)?;
        let answerer = self.answerer(&view, &wanted.choice, entity.hash())?;
        let bind = self.bind(&answerer.revision, wanted, view.now)?;
        note_pin(&bind, wanted, view.now);
        let permit = self.admit(&bind, bind.bound.sequence_bytes)?;
        let (answer, took) = self.read(&bind, entity).await?;
        let profile = Profile::of(&bind.revision, &bind.bound, &answer, view.circumstances(answerer.stood_in));
        self.observe(&bind, &view, &profile, took);
        Ok(Outcome { rows: answer.sequence.rows, schema: bind.bound.schema, profile, permit })
    }

    /// Many entities: one route, one set of columns. Entities of a canary whose trial has not the live revision's columns are read from
    /// the live one; their profiles say so.
    ///
    /// # Errors
    /// As [`Reader::get`]; one entity that cannot be read fails the batch.
    pub async fn batch(&self, feature: &str, entities: &[Ask], wanted: &Wanted) -> Result<Outcomes, Refusal> {
        if entities.is_empty() || entities.len() > MAX_ENTITIES {
            let message = format!("{} entities are asked for; a batch has 1 to {MAX_ENTITIES}", entities.len());
            return Err(Refusal::invalid("entities", message, "split the batch"));
        }
        let view = self.view(feature)?;
        let scalar = self.scalar(&view, &wanted.choice)?;
        let entities = entities.iter().map(|e| request::entity(e, scalar)).collect::<Result<Vec<_>, _>>()?;
        let answerers = entities.iter().map(|e| self.answerer(&view, &wanted.choice, e.hash())).collect::<Result<Vec<_>, _>>()?;
        let binds = self.one_set_of_columns(&view, &answerers, wanted)?;
        let bytes = binds.iter().fold(0usize, |sum, bind| sum.saturating_add(bind.bound.sequence_bytes));
        let Some(first) = binds.first() else {
            return Err(Refusal::new(Code::Internal, "entities", "no entity was bound", ""));
        };
        note_pin(first, wanted, view.now);
        let permit = self.admit(first, bytes)?;
        let schema = first.bound.schema.clone();

        let reads = entities.into_iter().zip(&binds).map(|(entity, bind)| self.read(bind, entity)).collect::<Vec<_>>();
        let answers: Vec<(Answer, Duration)> = futures::stream::iter(reads).buffered(BATCH_READS).try_collect().await?;

        let mut whole: Option<Profile> = None;
        let mut rows = Vec::with_capacity(answers.len());
        let mut profiles = Vec::with_capacity(answers.len());
        for (((answer, took), bind), answerer) in answers.into_iter().zip(&binds).zip(&answerers) {
            let stood_in = answerer.stood_in || answerer.revision.digest != bind.revision.digest;
            let profile = Profile::of(&bind.revision, &bind.bound, &answer, view.circumstances(stood_in));
            self.observe(bind, &view, &profile, took);
            profiles.push(profile.of_entity());
            match &mut whole {
                Some(whole) => whole.absorb(&profile),
                None => whole = Some(profile),
            }
            rows.push(answer.sequence.rows);
        }
        let profile = whole.ok_or_else(|| Refusal::new(Code::Internal, "entities", "no entity was read", ""))?;
        Ok(Outcomes { rows, schema, profile, entities: profiles, permit })
    }

    /// What a feature gives.
    ///
    /// # Errors
    /// `NotFound` for a feature or revision that is not there; `Unavailable` for one that is not ready.
    pub fn describe(&self, feature: &str, choice: &Choice) -> Result<Description, Refusal> {
        let view = self.view(feature)?;
        let revision = self.representative(&view, choice)?;
        Ok(describe::describe(&self.registry, &view.name, view.route.as_deref(), &revision))
    }

    /// Every feature that is routed or loaded, sorted.
    #[must_use]
    pub fn features(&self) -> Vec<QualifiedName> {
        let routed = self.routes.current();
        let names: BTreeSet<QualifiedName> = routed.iter().map(|(name, _)| name.clone()).chain(self.registry.features()).collect();
        names.into_iter().collect()
    }

    /// The revisions of a feature.
    #[must_use]
    pub fn revisions(&self, feature: &QualifiedName) -> Vec<describe::RevisionDescription> {
        describe::revisions(&self.registry, feature, self.routes.current().get(feature).map(|r| &**r))
    }

    /// Up to when all signals of a revision are applied; `None` = it is not ready here, or one of them has applied nothing yet.
    #[must_use]
    pub fn applied_through(&self, feature: &QualifiedName, digest: &str) -> Option<i64> {
        let Some(State::Ready(revision)) = self.registry.state(feature, digest) else { return None };
        let applied = revision.served.signal_states().iter().map(|state| state.applied_through).collect::<Option<Vec<i64>>>()?;
        applied.into_iter().min()
    }

    /// Forgets a revision and its counters. Requests that hold it finish.
    pub fn unload(&self, feature: &QualifiedName, digest: &str) {
        self.registry.unload(feature, digest);
        self.metrics.forget_feature(feature, digest);
    }

    /// Why this process is not ready for its first requests; `None` when it is: the routes are known, and every revision that answers
    /// for entities is loaded, or has failed for a reason of its own.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        let routes = self.routes.current();
        if !routes.is_known() {
            return Some("no routes have been read yet".to_owned());
        }
        let mut waiting: Vec<String> = Vec::new();
        for (name, route) in routes.iter() {
            let trial = route.trial.as_ref().filter(|_| route.weight_bp > 0);
            for pinned in route.live.iter().chain(trial) {
                let settled = matches!(self.registry.state(name, &pinned.digest), Some(State::Ready(_) | State::Failed { .. }));
                if !settled {
                    waiting.push(name.to_string());
                }
            }
        }
        waiting.sort();
        waiting.dedup();
        match waiting.len() {
            0 => None,
            1..=5 => Some(format!("loading {}", waiting.join(", "))),
            many => Some(format!("loading {many} features")),
        }
    }

    fn view(&self, feature: &str) -> Result<View, Refusal> {
        let name = request::feature_name(feature)?;
        let route = self.routes.current().get(&name).cloned();
        if route.is_none() && self.registry.revisions(&name).is_empty() {
            let known: Vec<String> = self.features().iter().map(ToString::to_string).collect();
            let help = nearest::help(feature, known.iter().map(String::as_str));
            return Err(Refusal::new(Code::NotFound, "feature", format!("there is no feature {}", nearest::quoted(feature)), help));
        }
        Ok(View { name, route, now: self.clock.now_micros() })
    }

    /// The type of the feature's entities: the same in every revision that a request can reach at once.
    fn scalar(&self, view: &View, choice: &Choice) -> Result<tress_configs::column::Scalar, Refusal> {
        self.representative(view, choice).map(|revision| revision.plan().entity)
    }

    /// The revision that speaks for the feature where no entity is given.
    fn representative(&self, view: &View, choice: &Choice) -> Result<Arc<Revision>, Refusal> {
        match (choice, view.route.as_deref()) {
            (Choice::Routed, Some(Route { live: Some(live), .. })) => self.loaded(view, &live.digest),
            (Choice::Routed, Some(Route { trial: Some(trial), weight_bp: 1.., .. })) => self.loaded(view, &trial.digest),
            (Choice::Routed, _) => Err(nothing_live(&view.name)),
            _ => self.chosen(view, choice),
        }
    }

    fn answerer(&self, view: &View, choice: &Choice, hash: i64) -> Result<Answerer, Refusal> {
        let exactly = |revision| Answerer { revision, stood_in: false };
        if *choice != Choice::Routed {
            return self.chosen(view, choice).map(exactly);
        }
        match view.route.as_deref().map(|route| (route, route.choose(hash))) {
            Some((_, Chosen::Live(live))) => self.loaded(view, &live.digest).map(exactly),
            Some((route, Chosen::Trial(trial))) => match (self.loaded(view, &trial.digest), &route.live) {
                (Ok(revision), _) => Ok(exactly(revision)),
                // A trial that is not ready here is counted against the trial, and costs no reader an answer.
                (Err(_), Some(live)) => {
                    self.metrics.feature(&view.name, &trial.digest).refused(ReadResult::Unavailable);
                    Ok(Answerer { revision: self.loaded(view, &live.digest)?, stood_in: true })
                }
                (Err(refusal), None) => Err(refusal),
            },
            Some((_, Chosen::Nothing)) | None => Err(nothing_live(&view.name)),
        }
    }

    /// The revision that the request names.
    fn chosen(&self, view: &View, choice: &Choice) -> Result<Arc<Revision>, Refusal> {
        let digest = match choice {
            Choice::Digest(digest) => digest.clone(),
            Choice::Trial => match view.route.as_ref().and_then(|r| r.trial.as_ref()) {
                Some(trial) => trial.digest.clone(),
                None => {
                    return Err(Refusal::new(Code::NotFound, "revision", format!("{} has no trial", view.name), "ask for the live one"));
                }
            },
            Choice::Routed => return self.representative(view, choice),
        };
        self.loaded(view, &digest)
    }

    fn loaded(&self, view: &View, digest: &str) -> Result<Arc<Revision>, Refusal> {
        let unavailable = |message: String, help: &str| {
            self.metrics.feature(&view.name, digest).refused(ReadResult::Unavailable);
            Refusal::new(Code::Unavailable, "revision", message, help)
        };
        let routed = view.route.as_deref().is_some_and(|r| r.revisions().any(|p| p.digest == digest));
        match self.registry.state(&view.name, digest) {
            Some(State::Ready(revision)) => Ok(revision),
            Some(State::Failed { reason }) => {
                Err(unavailable(format!("revision {digest} of {} cannot be read: {reason}", view.name), "its owners must act"))
            }
            Some(State::Loading) => Err(unavailable(format!("revision {digest} of {} is being loaded", view.name), "try again")),
            None if routed => Err(unavailable(format!("revision {digest} of {} is being loaded", view.name), "try again")),
            None => {
                let known = self.registry.revisions(&view.name);
                let help = nearest::help(digest, known.keys().map(String::as_str));
                let message = format!("{} has no revision {} here", view.name, nearest::quoted(digest));
                Err(Refusal::new(Code::NotFound, "revision", message, help))
            }
        }
    }

    fn bind(&self, revision: &Arc<Revision>, wanted: &Wanted, now: i64) -> Result<Bind, Refusal> {
        Ok(Bind { revision: revision.clone(), bound: wanted.bind(revision, now)? })
    }

    /// Binds each answerer, so that all give the same columns: those of the live revision where it answers for any.
    fn one_set_of_columns(&self, view: &View, answerers: &[Answerer], wanted: &Wanted) -> Result<Vec<Bind>, Refusal> {
        let live = view.route.as_deref().and_then(|r| r.live.as_ref()).map(|p| p.digest.as_str());
        let mut distinct: Vec<&Arc<Revision>> = Vec::new();
        for answerer in answerers {
            if !distinct.iter().any(|r| r.digest == answerer.revision.digest) {
                distinct.push(&answerer.revision);
            }
        }
        // The live one first: its columns are the reply's, and what it lacks is the caller's mistake.
        distinct.sort_by_key(|r| Some(r.digest.as_str()) != live);
        let mut binds: Vec<(String, Bind)> = Vec::new();
        for revision in distinct {
            let bind = match binds.first() {
                None => self.bind(revision, wanted, view.now)?,
                Some((_, first)) => match self.bind(revision, wanted, view.now) {
                    Ok(bind) if same_columns(&bind.bound.schema, &first.bound.schema) => bind,
                    Ok(_) | Err(_) => first.clone(),
                },
            };
            binds.push((revision.digest.clone(), bind));
        }
        let find = |answerer: &Answerer| binds.iter().find(|(d, _)| *d == answerer.revision.digest).map(|(_, bind)| bind.clone());
        let bound: Option<Vec<Bind>> = answerers.iter().map(find).collect();
        bound.ok_or_else(|| Refusal::new(Code::Internal, "entities", "an entity was not bound", ""))
    }

    fn admit(&self, bind: &Bind, bytes: usize) -> Result<Permit, Refusal> {
        let permit = self.admission.admit(Budget::Replies, bytes);
        permit.inspect_err(|refusal| bind.revision.metrics(&self.metrics).refused(refusal.code.into()))
    }

    fn observe(&self, bind: &Bind, view: &View, profile: &Profile, took: Duration) {
        bind.revision.metrics(&self.metrics).answered(Answered {
            events: profile.available,
            took,
            freshness: profile.least.applied_through.map(|through| view.now.saturating_sub(through)),
            deep: profile.deep,
        });
        if !profile.degraded.is_empty() {
            bind.revision.degraded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The answer, and how long it took.
    async fn read(&self, bind: &Bind, entity: Entity) -> Result<(Answer, Duration), Refusal> {
        let start = Stopwatch::start();
        let admit = || {
            let bytes = bind.bound.sequence_bytes.saturating_add(HISTORY_READ);
            self.admission.admit(Budget::History, bytes).map_err(|refusal| Error::new(ErrorKind::Full, refusal.to_string()))
        };
        let answer = bind.revision.served.read_admitted(&bind.bound.of(entity), admit).await;
        answer.map(|answer| (answer, start.elapsed())).map_err(|error| {
            let refusal = Refusal::from(error);
            bind.revision.metrics(&self.metrics).refused(refusal.code.into());
            refusal
        })
    }
}

impl View {
    fn circumstances(&self, stood_in: bool) -> Circumstances {
        let contract = self.route.as_ref().and_then(|route| route.contract.as_ref());
        let fresh_within = contract.map_or(Promised::AsLoaded, |c| Promised::ByRoute(c.freshness.as_ref().map(|f| f.p99.micros())));
        Circumstances { now: self.now, epoch: self.route.as_ref().map_or(0, |r| r.epoch), stood_in, fresh_within }
    }
}

/// What is read within that time; what is not is dropped, and its work stops. A read that panics fails alone: it would take the calls
/// of its whole connection with it otherwise.
pub async fn within<T>(time: Duration, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = |_| Refusal::new(Code::DeadlineExceeded, "", "the read took too long", "ask for less, or again");
    let alone = AssertUnwindSafe(read).catch_unwind();
    let panicked = |_| Err(Refusal::from(Error::internal("a read panicked")));
    tokio::time::timeout(time, alone).await.map_err(late)?.unwrap_or_else(panicked)
}

/// Who asks for a revision by its digest counts on it.
fn note_pin(bind: &Bind, wanted: &Wanted, now: i64) {
    if matches!(wanted.choice, Choice::Digest(_)) {
        bind.revision.pins.note(&wanted.consumer, now);
    }
}

fn nothing_live(name: &QualifiedName) -> Refusal {
    Refusal::new(
        Code::Unavailable,
        "revision",
        format!("{name} has no live revision yet"),
        "ask for the trial, or wait for the first rollout",
    )
}

/// Same names and types, in the same order.
fn same_columns(a: &SchemaRef, b: &SchemaRef) -> bool {
    let same =
        |(a, b): (&Arc<arrow::datatypes::Field>, &Arc<arrow::datatypes::Field>)| a.name() == b.name() && a.data_type() == b.data_type();
    a.fields().len() == b.fields().len() && a.fields().iter().zip(b.fields()).all(same)
}
