//! What stops a reconcile, by what its caller should do. Waiting is none of these: it is a [`crate::queue::Next`].

use kube::core::Status;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else was first: look again, at once.
    #[error("somebody else was first")]
    Conflict,
    /// This process does not lead, or not for long enough: nothing was written.
    #[error("this process does not lead")]
    NotLeader,
    /// No answer came in time: it may have been done.
    #[error("{doing}: no answer came in time")]
    Timeout { doing: String },
    /// The API server refused, or could not be asked: try again later. `code`: HTTP's; 0 = there was no answer.
    #[error("{doing}: {message}")]
    Api { doing: String, code: u16, message: String },
    /// The namespace is being deleted: nothing can be made in it any more, and what is in it goes anyway.
    #[error("{doing}: its namespace is being deleted")]
    Leaving { doing: String },
    /// Trying again changes nothing before somebody changes what the message names.
    #[error("{message}")]
    Invalid { message: String },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The most letters of what a server said that are passed on.
const MAX_SAID: usize = 512;

impl Error {
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// What a client of Kubernetes met while `doing`.
    #[must_use]
    pub fn of_api(doing: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 && status.reason == "Conflict" => Self::Conflict,
            kube::Error::Api(status) if is_leaving(status) => Self::Leaving { doing: doing.to_owned() },
            kube::Error::Api(status) => {
                let Status { message, code, .. } = &**status;
                Self::Api { doing: doing.to_owned(), code: *code, message: message.chars().take(MAX_SAID).collect() }
            }
            other => Self::Api { doing: doing.to_owned(), code: 0, message: other.to_string().chars().take(MAX_SAID).collect() },
        }
    }

    /// Whether the API server said that what was named is not there.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { code: 404, .. })
    }
}

/// Whether a namespace that ends is why the API server refused.
fn is_leaving(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_that_ends_is_told_from_a_right_that_is_missing() {
        let of = |causes: serde_json::Value| {
            let status = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "no", "details": {"causes": causes}});
            let status: Status = serde_json::from_value(status).expect("a status");
            Error::of_api("create Event n/e", &kube::Error::Api(Box::new(status)))
        };
        let cause = |reason: &str| json!([{"reason": reason, "message": "m", "field": "metadata.namespace"}]);
        assert!(matches!(of(cause("NamespaceTerminating")), Error::Leaving { .. }));
        assert!(matches!(of(json!([])), Error::Api { code: 403, .. }));
    }
}
