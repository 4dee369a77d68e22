//! The id of a topic: librdkafka knows it, its Rust binding does not pass it on.
//!
//! With `epoch` the only part that calls librdkafka itself. Each object is made, checked for null, used and destroyed in [`topic_id`]; what is
//! borrowed from the event is copied before the event goes.
#![expect(unsafe_code, reason = "calls librdkafka's DescribeTopics, which rdkafka 0.39 does not wrap")]

use std::ffi::{CStr, CString};
use std::ptr;

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Destroys what librdkafka made, when it goes out of scope.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(made: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Result<Self, KafkaError> {
        if made.is_null() { Err(KafkaError::AdminOpCreation("librdkafka is out of memory".into())) } else { Ok(Self(made, destroy)) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was given what librdkafka made and the function that destroys it; nobody else destroys it.
        unsafe { (self.1)(self.0) }
    }
}

/// Asks the broker for the id of `topic`, in base64. Blocks for up to `timeout_ms`.
pub fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str, timeout_ms: i32) -> Result<String, KafkaError> {
    let name = CString::new(topic)?;
    let mut names = [name.as_ptr()];
    let native = client.native_ptr();
    // SAFETY: `client` outlives this call, and with it `native`. `names` points to one C string that outlives the collection, which
    // copies it. Options, collection and queue are destroyed after the event, in reverse order of their making.
    let event = unsafe {
        let options = Owned::new(
            rd::rd_kafka_AdminOptions_new(native, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            rd::rd_kafka_AdminOptions_destroy,
        )?;
        let mut why = [0; 256];
        let set = rd::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, why.as_mut_ptr(), why.len());
        check(set)?;
        let topics =
            Owned::new(rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()), rd::rd_kafka_TopicCollection_destroy)?;
        let queue = Owned::new(rd::rd_kafka_queue_new(native), rd::rd_kafka_queue_destroy)?;
        rd::rd_kafka_DescribeTopics(native, topics.0, options.0, queue.0);
        // A second more than the request has, so that its own time-out is what is told.
        let event = rd::rd_kafka_queue_poll(queue.0, timeout_ms + 1000);
        if event.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut));
        }
        Owned::new(event, rd::rd_kafka_event_destroy)?
    };
    // SAFETY: the event is not null; every pointer that is got from it is checked, and copied before it goes.
    unsafe {
        check(rd::rd_kafka_event_error(event.0))?;
        let result = rd::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::BadMessage));
        }
        let mut count = 0;
        let found = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if count != 1 || found.is_null() || (*found).is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        let error = rd::rd_kafka_TopicDescription_error(*found);
        if !error.is_null() {
            check(rd::rd_kafka_error_code(error))?;
        }
        let id = rd::rd_kafka_TopicDescription_topic_id(*found);
        let text = if id.is_null() { ptr::null() } else { rd::rd_kafka_Uuid_base64str(id) };
        if text.is_null() {
            return Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedVersion));
        }
        Ok(CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

fn check(code: rd::rd_kafka_resp_err_t) -> Result<(), KafkaError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::AdminOp(code)),
    }
}
