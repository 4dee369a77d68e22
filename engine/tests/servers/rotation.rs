//! A password that is replaced while clients are open.

use std::path::Path;
use std::time::Duration;

use tress_engine::Result;
use tress_engine::log::kafka::{Connection, Mechanism, MissingTopics, Sasl, Tls};
use tress_engine::log::{Assigned, KafkaLog, Log, Membership, NewRecord, Position};

use crate::engine::{PATIENCE, until};
use crate::server::Server;

/// Two users that the broker knows; the later line counts.
const USERS: &str = "listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
                     user_first=\"one\" user_second=\"two\";";
const TOPIC: &str = "rotated";
const GROUP: &str = "rotated.group";

fn mount(folder: &Path, (username, password): (&str, &str)) {
    std::fs::write(folder.join("username"), username).unwrap();
    std::fs::write(folder.join("password"), password).unwrap();
}

async fn assigned(seat: &mut Membership) {
    let all = seat.assigned.wait_for(|assigned| *assigned == Assigned::Reads(vec![0, 1]));
    drop(tokio::time::timeout(PATIENCE, all).await.expect("in time").expect("the seat is there"));
}

/// What every kind of client is asked for; the last record that was read.
async fn everything(log: &KafkaLog, value: &'static str) -> Result<String> {
    let offset = log.append(TOPIC, 1, vec![NewRecord { payload: value.into(), ..NewRecord::default() }]).await?;
    let read = log.read(TOPIC, Position { partition: 1, offset }, 1 << 20, Duration::from_secs(5)).await?;
    log.commit(GROUP, TOPIC, &[Position { partition: 1, offset: offset + 1 }]).await?;
    log.commit("rotated.stranger", TOPIC, &[Position { partition: 0, offset: 0 }]).await?;
    assert_eq!(log.committed(GROUP, TOPIC).await?, [Position { partition: 1, offset: offset + 1 }]);
    assert_eq!(log.ends(TOPIC).await?[1].end, offset + 1);
    log.create(&format!("{TOPIC}.{value}"), 1).await?;
    Ok(read.records.last().map(|r| String::from_utf8_lossy(&r.payload).into_owned()).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_open_take_the_password_that_is_mounted_in_the_place_of_theirs() {
    let server = tokio::task::spawn_blocking(|| Server::start_with("kafka", vec![("TRESS_KAFKA_SETTINGS", USERS)])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    mount(folder.path(), ("first", "one"));
    let file = |name: &str| folder.path().join(name);
    let log = KafkaLog::open(Connection {
        bootstrap: vec![server.tell("secure").to_owned()],
        tls: Some(Tls { ca: Some(server.tell("ca").into()), client: None }),
        sasl: Some(Sasl { mechanism: Mechanism::Plain, username: file("username"), password: file("password") }),
        missing: MissingTopics::Make,
    })
    .unwrap();
    log.create(TOPIC, 2).await.unwrap();
    let mut seat = log.join(GROUP, TOPIC).await.unwrap();
    assigned(&mut seat).await;
    assert_eq!(everything(&log, "before").await.unwrap(), "before");

    // Replaced: the member joins anew, and every call is made by a client of the new user.
    seat.assigned.borrow_and_update();
    mount(folder.path(), ("second", "two"));
    tokio::time::timeout(PATIENCE, seat.assigned.changed()).await.expect("in time").unwrap();
    assigned(&mut seat).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    until("all works with the new one", async || everything(&log, "between").await.is_ok_and(|read| read == "between")).await;

    // The broker forgets the first user, and whom it knew.
    let settings = Path::new(server.tell("password")).parent().and_then(Path::parent).unwrap().join("server.properties");
    let text = std::fs::read_to_string(&settings).unwrap();
    assert!(text.contains("user_first=\"one\" "));
    std::fs::write(&settings, text.replace("user_first=\"one\" ", "")).unwrap();
    let server = tokio::task::spawn_blocking(move || {
        server.kill();
        server.start_again_as_it_was();
        server
    })
    .await
    .unwrap();
    until("all works without the old one", async || everything(&log, "after").await.is_ok_and(|read| read == "after")).await;
    drop((seat, server));
}
