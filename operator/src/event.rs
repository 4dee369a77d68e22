//! What people are told, once per transition: Events of events.k8s.io/v1.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Resource};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tress_crds::condition::{Condition, ConditionType, Reason, Truth};
use xxhash_rust::xxh3::xxh3_64;

use crate::apply::{MANAGER, Verb, Writer};
use crate::clock::{Clock, Stopwatch};
use crate::error::{Error, Result};
use crate::metrics::{Metrics, Outcome};
use crate::queue::Key;

/// How many wait to be written; what comes then is lost, and counted.
const WAITING: usize = 256;
/// For so long it is waited for that this process leads: it may just have begun.
const TO_LEAD: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);
/// The most letters of a note.
const MAX_NOTE: usize = 1024;

/// How it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tone {
    Normal,
    Warning,
}

/// Tells people. Cheap to clone; never waits, never fails: what cannot be told is counted.
#[derive(Debug, Clone)]
pub struct Events {
    told: mpsc::Sender<Told>,
    metrics: Metrics,
    clock: Clock,
    /// By object and reason, what was said last, so that it is said once.
    last: Arc<Mutex<HashMap<u64, u64>>>,
}

#[derive(Debug, Clone)]
struct Told {
    about: ObjectReference,
    tone: Tone,
    reason: String,
    note: String,
    at: Timestamp,
}

/// Writes what was told.
#[derive(Debug)]
pub struct Scribe {
    told: mpsc::Receiver<Told>,
    metrics: Metrics,
}

impl Events {
    /// What tells, and what has to run for it to be written.
    #[must_use]
    pub fn new(metrics: &Metrics, clock: &Clock) -> (Self, Scribe) {
        let (told, waiting) = mpsc::channel(WAITING);
        let events = Self { told, metrics: metrics.clone(), clock: clock.clone(), last: Arc::default() };
        (events, Scribe { told: waiting, metrics: metrics.clone() })
    }

    /// Tells `note` about an object, unless it is what was told last of this object and reason. `reason`: one word, as a condition's.
    pub fn say<K: Resource<DynamicType = ()>>(&self, about: &K, tone: Tone, reason: impl ToString, note: &str) {
        let reason = reason.to_string();
        let about = about.object_ref(&());
        if self.is_new(&about, &reason, note) {
            self.tell(about, tone, reason, note);
        }
    }

    /// Tells what changed from one set of conditions to the next: each whose status or reason is another now. To be called once the new
    /// ones are written.
    pub fn transition<K: Resource<DynamicType = ()>>(&self, about: &K, before: &[Condition], after: &[Condition]) {
        for (tone, reason, note) in transitions(before, after) {
            self.tell(about.object_ref(&()), tone, reason, &note);
        }
    }

    fn tell(&self, about: ObjectReference, tone: Tone, reason: String, note: &str) {
        let note = note.chars().take(MAX_NOTE).collect();
        if self.told.try_send(Told { about, tone, reason, note, at: self.clock.now() }).is_err() {
            self.metrics.event(Outcome::Failed);
        }
    }

    fn is_new(&self, about: &ObjectReference, reason: &str, note: &str) -> bool {
        /// So many are remembered; then it begins anew.
        const REMEMBERED: usize = 20_000;
        let of = format!("{}/{reason}", about.uid.as_deref().unwrap_or_default());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= REMEMBERED {
            last.clear();
        }
        let said = xxh3_64(note.as_bytes());
        last.insert(xxh3_64(of.as_bytes()), said) != Some(said)
    }
}

/// What is told of conditions that changed: those that have another status or reason. Of one that was not there before only what is bad
/// is news, and how the summary begins.
fn transitions(before: &[Condition], after: &[Condition]) -> Vec<(Tone, String, String)> {
    let mut told = Vec::new();
    for now in after {
        let is_bad = if now.type_ == ConditionType::Stalled.to_string() {
            now.status == Truth::True.to_string()
        } else {
            now.status == Truth::False.to_string() && is_a_fault(&now.reason)
        };
        let is_news = match before.iter().find(|b| b.type_ == now.type_) {
            Some(was) => was.status != now.status || was.reason != now.reason,
            None => is_bad || (now.type_ == ConditionType::Ready.to_string() && now.status == Truth::True.to_string()),
        };
        if is_news {
            let tone = if is_bad { Tone::Warning } else { Tone::Normal };
            let message = if now.message.is_empty() { String::new() } else { format!(": {}", now.message) };
            told.push((tone, now.reason.clone(), format!("{} is {}{message}", now.type_, now.status)));
        }
    }
    told
}

/// Whether a reason is more than a matter of time.
fn is_a_fault(reason: &str) -> bool {
    let matters_of_time = [Reason::InProgress, Reason::Waiting, Reason::Paused, Reason::NotObserved, Reason::Unused, Reason::AsDeclared];
    !matters_of_time.iter().chain(&[Reason::ReferenceMissing]).any(|time| time.to_string() == reason)
}

impl Scribe {
    /// Writes until `shutdown`.
    pub async fn run(mut self, writer: Writer, instance: String, shutdown: CancellationToken) {
        loop {
            let told = tokio::select! {
                () = shutdown.cancelled() => return,
                told = self.told.recv() => told,
            };
            let Some(told) = told else { return };
            let outcome = tokio::select! {
                () = shutdown.cancelled() => return,
                outcome = patiently(&writer, &told, &instance) => outcome,
            };
            if let Some(outcome) = outcome {
                self.metrics.event(outcome);
            }
        }
    }
}

/// Writes it as soon as this process leads. `None` = nobody is left to be told, for the namespace is being deleted; or this process does
/// not lead, and is not about to: another one tells it.
async fn patiently(writer: &Writer, told: &Told, instance: &str) -> Option<Outcome> {
    let waits = Stopwatch::start();
    loop {
        if told.about.namespace.as_deref().is_some_and(|namespace| writer.is_leaving(namespace)) {
            return None;
        }
        match write(writer, told, instance).await {
            Ok(()) => return Some(Outcome::Done),
            Err(Error::NotLeader) if waits.elapsed() < TO_LEAD => sleep(LOOK).await,
            // Where only some namespaces are watched, the API server is the first to say that one is being deleted.
            Err(Error::NotLeader | Error::Leaving { .. }) => return None,
            Err(error) => {
                tracing::debug!(%error, "an event was not written");
                return Some(Outcome::Failed);
            }
        }
    }
}

async fn write(writer: &Writer, told: &Told, instance: &str) -> Result<()> {
    let event = event(told, instance);
    let key = Key::of(&event);
    let api: Api<Event> = Api::namespaced(writer.client(), &key.namespace);
    let how = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    writer.guarded(Verb::Create, ("Event", &key), api.create(&how, &event)).await.map(drop)
}

fn event(told: &Told, instance: &str) -> Event {
    let Told { about, tone, reason, note, at } = told.clone();
    // Of what has no namespace, events are in the one that is always there.
    let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let hash = xxh3_64(format!("{}/{reason}/{note}/{}", about.uid.as_deref().unwrap_or_default(), at.as_nanosecond()).as_bytes());
    let name = format!("{}.{hash:016x}", about.name.as_deref().unwrap_or("tress"));
    Event {
        action: Some(reason.clone()),
        event_time: Some(MicroTime(at)),
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
        note: Some(note),
        reason: Some(reason),
        regarding: Some(about),
        reporting_controller: Some("tress.dev/operator".to_owned()),
        reporting_instance: Some(instance.chars().take(128).collect()),
        type_: Some(format!("{tone:?}")),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use tress_crds::condition::{Says, conditions};

    use super::*;

    fn said(says: &[(ConditionType, Truth, Reason)]) -> Vec<Condition> {
        let says: Vec<Says> = says.iter().map(|(what, truth, reason)| Says::new(*what, *truth, *reason, "why")).collect();
        conditions(&[], &says, 1, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_change_of_status_or_reason_is_told_and_nothing_else() {
        let waits = said(&[(ConditionType::Ready, Truth::False, Reason::InProgress)]);
        let ready =
            said(&[(ConditionType::Ready, Truth::True, Reason::AsDeclared), (ConditionType::Compiled, Truth::True, Reason::AsDeclared)]);
        assert_eq!(transitions(&waits, &waits), []);
        assert_eq!(transitions(&waits, &ready), [(Tone::Normal, "AsDeclared".to_owned(), "Ready is True: why".to_owned())]);
        // What begins as it should, or is merely on its way, is no news.
        assert_eq!(transitions(&[], &waits), []);
        assert_eq!(transitions(&[], &ready).len(), 1);
    }

    #[test]
    fn what_only_a_person_can_help_is_a_warning_also_at_first() {
        let invalid = said(&[
            (ConditionType::Compiled, Truth::False, Reason::Invalid),
            (ConditionType::Ready, Truth::False, Reason::ReferenceMissing),
            (ConditionType::Stalled, Truth::True, Reason::Invalid),
        ]);
        let told: Vec<_> = transitions(&[], &invalid).into_iter().map(|(tone, _, note)| (tone, note)).collect();
        let warning = |note: &str| (Tone::Warning, note.to_owned());
        assert_eq!(told, [warning("Compiled is False: why"), warning("Stalled is True: why")]);
    }

    #[test]
    fn the_same_is_said_again_only_after_something_else() {
        let (events, mut scribe) = Events::new(&Metrics::new(), &Clock::at(Timestamp::UNIX_EPOCH));
        let about = k8s_openapi::api::core::v1::ConfigMap::default();
        for note in ["a", "a", "b", "a"] {
            events.say(&about, Tone::Normal, "Reason", note);
        }
        let told: Vec<String> = std::iter::from_fn(|| scribe.told.try_recv().ok()).map(|told| told.note).collect();
        assert_eq!(told, ["a", "b", "a"]);
    }
}
