//! Whether the broker has let a member in: librdkafka says nothing to a member that is given no partitions, and its Rust binding does not
//! pass on what it knows.
#![expect(unsafe_code, reason = "reads librdkafka's group metadata, of which rdkafka 0.39 shows nothing")]

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};

/// Whether the consumer is a member of its group by the broker's word. Waits for the client's own thread.
pub fn is_member<C: ClientContext>(client: &Client<C>) -> bool {
    // SAFETY: `client` outlives this call. What is made is checked for null, read once, and destroyed here; nobody else has it.
    let epoch = unsafe {
        let group = rd::rd_kafka_consumer_group_metadata(client.native_ptr());
        if group.is_null() {
            return false;
        }
        let epoch = rd::rd_kafka_consumer_group_metadata_generation_id(group);
        rd::rd_kafka_consumer_group_metadata_destroy(group);
        epoch
    };
    // It is 0 or -1 until the broker has given one.
    epoch > 0
}
