//! What an error of Kafka's means to the caller, and the remedy.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::client::Trouble;
use crate::error::{Error, ErrorKind};

/// `trouble`: what the client complained of meanwhile, which explains that time ran out.
pub fn of(error: &KafkaError, trouble: Option<Trouble>) -> Error {
    match code_of(error) {
        Some(code) => of_code(code, trouble),
        None => match error {
            // The value may be a secret: only what is wrong and the setting's name.
            KafkaError::ClientConfig(_, what, setting, _) => Error::invalid(format!("Kafka setting {setting}: {what}")),
            KafkaError::ClientCreation(what) => Error::invalid(format!("make a Kafka client: {what}")),
            KafkaError::Canceled => Error::new(ErrorKind::Unavailable, "the Kafka client was closed meanwhile"),
            other => Error::internal(other.to_string()),
        },
    }
}

/// The broker's or librdkafka's own code. The binding leaves out that of admin requests.
fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// The same, for a bare code.
pub fn of_code(code: Code, trouble: Option<Trouble>) -> Error {
    let (code, told) = match trouble {
        Some(Trouble { code: why, reason, .. }) if waits(code) => (why, format!(" ({reason})")),
        _ => (code, String::new()),
    };
    let (kind, remedy) = meaning(code);
    let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
    Error::new(kind, format!("Kafka: {code}{told}{remedy}"))
}

/// Whether the code only says that there was no answer.
fn waits(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::WaitingForCoordinator
    )
}

fn meaning(code: Code) -> (ErrorKind, &'static str) {
    use ErrorKind::{Conflict, Full, Internal, Invalid, NotFound, Refused, Unavailable};
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
            (NotFound, "there is no such topic or partition, or this user may not see it; create it, or allow Describe")
        }
        Code::TopicAuthorizationFailed => (Refused, "this user may not do that with the topic; give it the right (an ACL)"),
        Code::GroupAuthorizationFailed => (Refused, "this user may not use the consumer group; give it the right (an ACL)"),
        Code::ClusterAuthorizationFailed => (Refused, "this user may not do that in the cluster; give it the right (an ACL)"),
        Code::Authentication | Code::SaslAuthenticationFailed => {
            (Refused, "user name or password are refused; look at the connection's auth secret")
        }
        Code::UnsupportedSASLMechanism => (Refused, "the broker does not know the SASL mechanism; look at the connection's auth secret"),
        Code::SSL => (Refused, "TLS failed; look at the connection's tls secrets, and whether this port speaks TLS"),
        Code::Resolve => (Unavailable, "the broker's name is not known; look at the connection's bootstrap"),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            (Invalid, "a record is larger than the topic's max.message.bytes; raise that, or make records smaller")
        }
        Code::TopicAlreadyExists => (Conflict, ""),
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::AssignmentLost => (Conflict, "the partitions belong to another member of the group by now"),
        Code::NonEmptyGroup => (Conflict, "the group has members that read now; stop them first"),
        Code::InvalidTopic | Code::InvalidPartitions | Code::InvalidReplicationFactor | Code::InvalidConfig | Code::PolicyViolation => {
            (Invalid, "the cluster does not allow such a topic; create it by hand")
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => (Invalid, "the broker is too old; Apache Kafka 2.8 or newer is needed"),
        Code::QueueFull => (Full, "append less at once"),
        Code::InvalidArgument => (Internal, ""),
        _ => (Unavailable, "it is tried again; if it lasts, look at the brokers and the connection's bootstrap"),
    }
}

/// A task that was to make a call panicked or was stopped.
pub fn ended(error: tokio::task::JoinError) -> Error {
    Error::internal("a call of Kafka's client ended").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_tells_what_to_do() {
        let kinds = [
            (Code::UnknownTopicOrPartition, ErrorKind::NotFound),
            (Code::TopicAuthorizationFailed, ErrorKind::Refused),
            (Code::SaslAuthenticationFailed, ErrorKind::Refused),
            (Code::OperationTimedOut, ErrorKind::Unavailable),
            (Code::NotLeaderForPartition, ErrorKind::Unavailable),
            (Code::MessageSizeTooLarge, ErrorKind::Invalid),
            (Code::StaleMemberEpoch, ErrorKind::Conflict),
        ];
        for (code, kind) in kinds {
            assert_eq!(of(&KafkaError::Global(code), None).kind(), kind, "{code:?}");
        }
        assert_eq!(of(&KafkaError::AdminOp(Code::UnknownTopicOrPartition), None).kind(), ErrorKind::NotFound);
        let secret = KafkaError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "No such value".into(),
            "sasl.password".into(),
            "hunter2".into(),
        );
        let told = of(&secret, None).to_string();
        assert!(told.contains("sasl.password") && !told.contains("hunter2"), "{told}");
    }
}
