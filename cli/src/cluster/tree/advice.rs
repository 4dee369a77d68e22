//! What may help: the next command, by the reason that an object gives.

use super::{Item, State, View};

/// For a definition that is not ready. `word`: `feature/recent`, as commands take it.
pub fn definition(view: &View<'_>, item: &Item, word: &str) -> Option<String> {
    match item.state {
        State::Ready | State::Idle => None,
        State::Going | State::Failed | State::Unknown => reason(view, item, word, item.reason.as_deref().unwrap_or_default()),
    }
}

/// For a definition of which a condition gives this reason.
pub fn reason(view: &View<'_>, item: &Item, word: &str, reason: &str) -> Option<String> {
    let tress = |words: &str| view.commands.tress(words, &item.namespace);
    let kubectl = |words: &str| view.commands.kubectl(words, &item.namespace);
    Some(match reason {
        "Invalid" => "correct the definition (`tress lint FOLDER` finds the same mistakes), and apply it again".to_owned(),
        "Breaking" => {
            "raise its schemaVersion or give it a new name (`tress plan FOLDER` tells what breaks), and apply it again".to_owned()
        }
        "ReferenceMissing" => "apply what it names; nothing else is to be done".to_owned(),
        "ConnectionNotAllowed" => {
            format!("ask those who run Tress to admit namespace {} to that connection, or name another", item.namespace)
        }
        "ConnectionIdentityChanged" => {
            "ask those who run Tress to let the connection lead where it led; or give the definition a new name".to_owned()
        }
        "SemanticsUnsupported" | "OperatorTooOld" => "ask those who run Tress for a newer release of it".to_owned(),
        "Paused" => tress(&format!("resume {word}")),
        "AttemptFailed" => format!("remove what stopped it, then {}", tress(&format!("retry {}", item.name))),
        "JobFailed" => format!("{} shows which job; then {}", tress(&format!("status {word}")), kubectl("logs job/NAME")),
        "NotObserved" => {
            "wait a moment; if it stays so, look whether the operator runs: kubectl get pods -A -l app.kubernetes.io/name=tress-operator"
                .to_owned()
        }
        "LimitReached" => "ask those who run Tress for more, or remove what is not needed".to_owned(),
        // Its message has the command.
        "BehaviouralChangeHeld" => return None,
        _ => tress(&format!("status {word} --watch")),
    })
}

/// For an attempt.
pub fn attempt(view: &View<'_>, item: &Item, feature: &str) -> Option<String> {
    let tress = |words: &str| view.commands.tress(words, &item.namespace);
    Some(match (item.state, item.reason.as_deref()) {
        (State::Failed, _) => format!("remove what stopped it, then {}", tress(&format!("retry {feature}"))),
        (State::Idle, Some("Aborted")) => tress(&format!("retry {feature}")),
        (State::Going, Some("Paused")) => tress(&format!("resume rollout/{}", item.name)),
        _ => return None,
    })
}

/// For a pod, or a job whose pods failed. `object`: `pod/x` or `job/x`.
pub fn logs(view: &View<'_>, namespace: &str, object: &str) -> String {
    view.commands.kubectl(&format!("logs {object}"), namespace)
}
