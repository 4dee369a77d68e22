//! What an object says about itself: metav1's conditions, with types and reasons that are known.

use std::fmt;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// What is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The summary: what people wait for.
    Ready,
    /// The definition makes a plan.
    Compiled,
    /// Of a definition: its schema may follow the one that is accepted.
    SchemaCompatible,
    /// Everything outside that the revision needs is there, and it is recorded in the lake.
    Prepared,
    /// The signals' streams run.
    StreamingAvailable,
    /// Serving pods answer.
    ServingAvailable,
    /// History holds everything up to its cut, and base covers the demands.
    BackfillComplete,
    /// Readers get answers.
    Available,
    /// What is read is as new as the contract promises.
    Fresh,
    /// What is read is as complete as the contract promises.
    Complete,
    /// Live is what is declared.
    Updated,
    /// Present while work goes on.
    Reconciling,
    /// Present while only a person can help.
    Stalled,
}

/// Why a condition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// All is well.
    AsDeclared,
    /// Nobody reads it.
    Unused,
    /// It is being worked on.
    InProgress,
    /// It waits for its turn.
    Waiting,
    /// `spec.paused`, `spec.suspend` or an intent holds it.
    Paused,
    /// The definition has mistakes; the message lists them.
    Invalid,
    /// It names something that does not exist yet.
    ReferenceMissing,
    /// Readers would break: it needs a new schema version, or a new name.
    Breaking,
    /// A connection that this namespace may not use.
    ConnectionNotAllowed,
    /// A connection leads elsewhere than when the revision was made.
    ConnectionIdentityChanged,
    /// No engine image here runs plans of these semantics.
    SemanticsUnsupported,
    /// It was written by a newer operator.
    OperatorTooOld,
    /// A job failed for good; the message has its reasons.
    JobFailed,
    /// The last attempt did not come to its end; the message names it.
    AttemptFailed,
    /// A change of what is read waits for evidence, or for a person who does without; live goes on.
    BehaviouralChangeHeld,
    /// What the platform allows a namespace is used up.
    LimitReached,
    /// The contract is not met.
    ContractMissed,
    /// Nothing has been seen of it yet.
    NotObserved,
}

impl Reason {
    /// The reason of this name; `None` = it is a newer operator's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        // The last one tells how many there are: one that is forgotten does not compile.
        const ALL: [Reason; Reason::NotObserved as usize + 1] = [
            Reason::AsDeclared,
            Reason::Unused,
            Reason::InProgress,
            Reason::Waiting,
            Reason::Paused,
            Reason::Invalid,
            Reason::ReferenceMissing,
            Reason::Breaking,
            Reason::ConnectionNotAllowed,
            Reason::ConnectionIdentityChanged,
            Reason::SemanticsUnsupported,
            Reason::OperatorTooOld,
            Reason::JobFailed,
            Reason::AttemptFailed,
            Reason::BehaviouralChangeHeld,
            Reason::LimitReached,
            Reason::ContractMissed,
            Reason::NotObserved,
        ];
        ALL.into_iter().find(|reason| reason.to_string() == name)
    }
}

/// Whether it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truth {
    True,
    False,
    Unknown,
}

/// A condition as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Says {
    pub what: ConditionType,
    pub truth: Truth,
    pub reason: Reason,
    pub message: String,
}

/// The most letters of a message; the schema allows as many.
const MAX_MESSAGE: usize = 1024;

impl Says {
    #[must_use]
    pub fn new(what: ConditionType, truth: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { what, truth, reason, message: message.into() }
    }
}

/// The conditions that follow `before` when an object of this generation says `now` what it says: a time of transition changes only with
/// its status, and what is not said any more goes. Ordered by type.
#[must_use]
pub fn conditions(before: &[Condition], says: &[Says], generation: i64, now: Timestamp) -> Vec<Condition> {
    let mut all: Vec<Condition> = says
        .iter()
        .map(|Says { what, truth, reason, message }| {
            let (type_, status) = (what.to_string(), truth.to_string());
            let same = before.iter().find(|b| b.type_ == type_ && b.status == status);
            Condition {
                last_transition_time: same.map_or(Time(now), |b| b.last_transition_time.clone()),
                observed_generation: Some(generation),
                message: shortened(message),
                reason: reason.to_string(),
                status,
                type_,
            }
        })
        .collect();
    all.sort_by(|a, b| a.type_.cmp(&b.type_));
    all
}

/// Whether a condition is there and true.
#[must_use]
pub fn is_true(conditions: &[Condition], what: ConditionType) -> bool {
    conditions.iter().any(|c| c.type_ == what.to_string() && c.status == "True")
}

/// What a condition says, to be said again; `None` = it is not there, or says what only a newer operator knows.
#[must_use]
pub fn said(conditions: &[Condition], what: ConditionType) -> Option<Says> {
    let condition = conditions.iter().find(|c| c.type_ == what.to_string())?;
    let truth = match condition.status.as_str() {
        "True" => Truth::True,
        "False" => Truth::False,
        _ => Truth::Unknown,
    };
    Some(Says::new(what, truth, Reason::parse(&condition.reason)?, &condition.message))
}

/// As much of a message as a status may hold, of conditions and beside them.
#[must_use]
pub fn shortened(message: &str) -> String {
    if message.chars().count() <= MAX_MESSAGE { message.to_owned() } else { message.chars().take(MAX_MESSAGE - 1).chain(['…']).collect() }
}

macro_rules! shown_by_name {
    ($($name:ty),*) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    )* };
}

shown_by_name!(ConditionType, Reason, Truth);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_is_a_change_of_status_and_nothing_else() {
        let says = |truth, reason| [Says::new(ConditionType::Ready, truth, reason, "m")];
        let first = conditions(&[], &says(Truth::False, Reason::InProgress), 1, at(1));
        let second = conditions(&first, &says(Truth::False, Reason::Invalid), 2, at(2));
        let third = conditions(&second, &says(Truth::True, Reason::AsDeclared), 2, at(3));
        assert_eq!([&first, &second, &third].map(|c| c[0].last_transition_time.0), [at(1), at(1), at(3)]);
        assert_eq!((second[0].observed_generation, second[0].reason.as_str()), (Some(2), "Invalid"));
        assert_eq!(conditions(&third, &says(Truth::True, Reason::AsDeclared), 2, at(9)), third);
        assert!(is_true(&third, ConditionType::Ready) && !is_true(&first, ConditionType::Ready));
    }

    #[test]
    fn what_was_said_can_be_said_again() {
        let says = Says::new(ConditionType::Ready, Truth::False, Reason::NotObserved, "m");
        let all = conditions(&[], std::slice::from_ref(&says), 1, at(1));
        assert_eq!(said(&all, ConditionType::Ready), Some(says));
        assert_eq!((said(&all, ConditionType::Stalled), Reason::parse("Newer")), (None, None));
    }

    #[test]
    fn what_is_said_no_more_goes_and_what_is_too_long_is_cut() {
        let both = [
            Says::new(ConditionType::Stalled, Truth::True, Reason::Invalid, "é".repeat(2000)),
            Says::new(ConditionType::Ready, Truth::False, Reason::Invalid, "m"),
        ];
        let first = conditions(&[], &both, 1, at(1));
        assert_eq!(first.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["Ready", "Stalled"]);
        assert_eq!(first[1].message.chars().count(), MAX_MESSAGE);
        assert_eq!(conditions(&first, &both[1..], 1, at(2)).len(), 1);
    }
}
