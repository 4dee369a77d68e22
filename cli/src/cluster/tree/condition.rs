//! What conditions come to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use tress_crds::condition::{ConditionType, Reason};

use super::{Item, State};

/// Sets state, reason and message as the conditions of an object say.
pub fn judge(item: &mut Item, metadata: &ObjectMeta, observed: Option<i64>, conditions: &[Condition]) {
    let find = |what: ConditionType| conditions.iter().find(|c| c.type_ == what.to_string());
    let unseen = |message: &str| (State::Unknown, Some(Reason::NotObserved.to_string()), Some(message.to_owned()));
    let of = |state: State, condition: &Condition| {
        let message = Some(condition.message.clone()).filter(|m| !m.is_empty() && state != State::Ready);
        (state, Some(condition.reason.clone()).filter(|r| *r != Reason::AsDeclared.to_string()), message)
    };
    let is = |condition: &Condition, truth: &str| condition.status == truth;
    let behind = observed.zip(metadata.generation).is_some_and(|(observed, generation)| observed < generation);
    (item.state, item.reason, item.message) = match (find(ConditionType::Ready), find(ConditionType::Stalled)) {
        _ if observed.is_none_or(|observed| observed < 0) && conditions.is_empty() => unseen("the operator has not looked at it yet"),
        _ if behind => unseen("the operator has not looked at the latest change yet"),
        (_, Some(stalled)) if is(stalled, "True") => of(State::Failed, stalled),
        (Some(ready), _) if is(ready, "True") => of(State::Ready, ready),
        (Some(ready), _) if is(ready, "False") => of(State::Going, ready),
        (Some(ready), _) => of(State::Unknown, ready),
        (None, _) => unseen("the operator does not say yet whether it is ready"),
    };
}
