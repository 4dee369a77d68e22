//! What a cluster refuses, as a sentence with its remedy.

use anyhow::anyhow;
use kube::Error;
use kube::client::UpgradeConnectionError;
use kube::core::Status;

use crate::exit::usage;

/// `doing`: verb and object, such as `list signals of movies`.
pub fn told(error: Error, doing: &str) -> anyhow::Error {
    match error {
        Error::Api(status) => refused(&status, doing),
        Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => match code.as_u16() {
            403 => anyhow!("{doing}: you may not; ask for `get` and `create` on pods/portforward in that namespace"),
            404 => anyhow!("{doing}: the pod is gone; try again"),
            _ => anyhow!("{doing}: the cluster does not open a connection to the pod (status {code})"),
        },
        Error::Auth(e) => anyhow!("{doing}: the kubeconfig's way to log in failed: {e}"),
        Error::Service(e) => {
            anyhow!(
                "{doing}: the cluster cannot be reached: {}; is it the one that you mean? see `kubectl config get-contexts`",
                deepest(&*e)
            )
        }
        Error::HyperError(e) => anyhow!("{doing}: the connection to the cluster broke: {}", deepest(&e)),
        Error::SerdeError(e) => {
            anyhow!("{doing}: an object does not read as this program knows its kind: {e}; use one of the operator's release")
        }
        other => anyhow!("{doing}: {other}"),
    }
}

/// Whether the user may not.
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}

fn refused(status: &Status, doing: &str) -> anyhow::Error {
    let said = status.message.as_str();
    // A kind that is not there at all is told apart from an object: it has no details.
    let no_kind = status.details.as_ref().is_none_or(|d| d.kind.is_empty());
    match status.code {
        401 => anyhow!("{doing}: the cluster does not know you; log in again, then try `kubectl auth whoami`"),
        403 => anyhow!("{doing}: you may not: {said}; ask for a role that allows it"),
        404 if no_kind => {
            anyhow!("{doing}: this cluster has not the kinds of Tress; install its chart, or choose another cluster with --context")
        }
        404 => usage(format!("{doing}: {said}")),
        409 => anyhow!("{doing}: somebody else changed it meanwhile; look at it and try again ({said})"),
        400 | 422 => usage(format!("{doing}: {said}")),
        code => anyhow!("{doing}: the cluster answered {code}: {said}"),
    }
}

/// The first cause, which says most: those around it only say that something was tried.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(code: u16, message: &str, kind: &str) -> Error {
        let details = (!kind.is_empty()).then(|| json!({"kind": kind}));
        Error::Api(Box::new(serde_json::from_value(json!({"code": code, "message": message, "details": details})).expect("a status")))
    }

    #[test]
    fn every_refusal_names_what_was_done_and_what_to_do() {
        for (error, said) in [
            (status(401, "Unauthorized", ""), "list signals: the cluster does not know you; log in again, then try `kubectl auth whoami`"),
            (
                status(403, "User \"u\" cannot list", "x"),
                "list signals: you may not: User \"u\" cannot list; ask for a role that allows it",
            ),
            (
                status(404, "404 page not found", ""),
                "list signals: this cluster has not the kinds of Tress; install its chart, or choose another cluster with --context",
            ),
            (status(404, "signalrevisions \"r\" not found", "signalrevisions"), "list signals: signalrevisions \"r\" not found"),
            (status(500, "etcd", "x"), "list signals: the cluster answered 500: etcd"),
        ] {
            assert_eq!(told(error, "list signals").to_string(), said);
        }
        assert!(is_forbidden(&status(403, "", "")) && !is_forbidden(&status(404, "", "")));
        assert!(told(status(422, "spec.parallelism", "x"), "d").is::<crate::exit::Usage>());
    }
}
