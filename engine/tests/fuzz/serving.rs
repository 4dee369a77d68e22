//! What clients send, and what servers reply.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tonic::transport::Channel;
use tress_engine::clock::FixedClock;
use tress_engine::log::NewRecord;
use tress_engine::node::{Listen, Node, Settings};
use tress_engine::serve::proto::sequence_service_client::SequenceServiceClient;
use tress_engine::serve::{self, Encoder, proto};

use crate::mutate::mutate;
use crate::run::Target;
use crate::{rows, scenario, stored};

pub fn records(number: u64) -> Vec<NewRecord> {
    scenario::batch(number).into_iter().map(|e| NewRecord { payload: e.payload().into(), ..NewRecord::default() }).collect()
}

/// How long a reply to what is no request is waited for.
const SHORT: Duration = Duration::from_millis(100);

/// Sends bytes and reads whatever comes until the other side, or patience, ends.
fn exchange(address: SocketAddr, bytes: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = connect(address, patience);
    let mut reply = Vec::new();
    // It may close before all is written.
    if stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
        stream.read_to_end(&mut reply).ok();
    }
    reply
}

/// A whole request, and the reply to it: who closes its side early may be taken to have gone.
fn ask(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(address, Duration::from_secs(10));
    let mut reply = Vec::new();
    stream.write_all(request).and_then(|()| stream.read_to_end(&mut reply)).expect("a reply");
    reply
}

fn connect(address: SocketAddr, patience: Duration) -> TcpStream {
    let Ok(stream) = TcpStream::connect(address) else { panic!("the server does not listen any more") };
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    stream
}

pub fn requests() -> Target {
    let runtime = stored::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    scenario::write_titles(&folder.path().join("tables"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (node, mut client) = runtime.block_on(async {
        let settings = Settings {
            state: folder.path().join("state"),
            tables: folder.path().join("tables"),
            clock: Arc::new(FixedClock::new(scenario::NOW)),
            listen: Some(Listen { http: any, grpc: any }),
        };
        let node = Node::open(settings).await.expect("opened");
        node.apply(scenario::desired(3)).await.expect("applied");
        node.append(scenario::TOPIC, records(0)).await.expect("appended");
        node.settle().await.expect("settled");
        let address = format!("http://{}", node.listening().expect("it listens").grpc);
        let client: SequenceServiceClient<Channel> = SequenceServiceClient::connect(address).await.expect("connected");
        (node, client)
    });
    let Listen { http, grpc } = node.listening().expect("it listens");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: tress\r\nconnection: close\r\n\r\n").into_bytes();
    let https = vec![
        get("/v1/sequences/movies/recent/u1?columns=item_id,rating&limit=2&order=oldest_first&signals=movies%2Frating"),
        get("/v1/sequences/movies/all/u%32?since=2024-01-01T00:00:00Z&until=1704412800000000&as_of=2024-01-05T00:00:00Z"),
        get("/v1/sequences/movies/liked/u3?available_at=1704412800000000&revision=trial&consumer=x"),
        get("/v1/features/movies/recent?revision=live"),
    ];
    let read = proto::Read {
        columns: vec!["item_id".into(), "rating".into()],
        limit: Some(2),
        since: Some(1_704_067_200_000_000),
        as_of: Some(proto::AsOf { event_time: Some(scenario::NOW), available_at: None }),
        consumer: "x".into(),
        ..proto::Read::default()
    };
    let entity = |text: &str| proto::Entity { key: Some(proto::entity::Key::Text(text.into())) };
    let one = proto::GetSequenceRequest { feature: "movies/recent".into(), entity: Some(entity("u1")), read: Some(read.clone()) };
    let many =
        proto::BatchGetSequencesRequest { feature: "movies/all".into(), entities: vec![entity("u1"), entity("u2")], read: Some(read) };
    let (ones, manys) = (vec![one.encode_to_vec()], vec![many.encode_to_vec()]);
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    frames.extend(b"\x00\x00\x05\x01\x04\x00\x00\x00\x01\x83\x86\x84\x41\x00");
    let frames = vec![frames];
    let mut number = 0u64;
    // Lives as long as the cases.
    let world = (folder, node);
    Box::new(move |random, keep| {
        let _lives = &world;
        match random.below(8) {
            0..=2 => {
                let bytes = mutate(random, &https);
                keep(&bytes);
                drop(exchange(http, &bytes, SHORT));
            }
            3 if random.below(4) == 0 => {
                let bytes = mutate(random, &frames);
                keep(&bytes);
                drop(exchange(grpc, &bytes, SHORT));
            }
            which => {
                let bytes = mutate(random, if which % 2 == 0 { &ones } else { &manys });
                keep(&bytes);
                // What no decoder takes, the server's does not take either; the rest goes on its way.
                if which % 2 == 0
                    && let Ok(request) = proto::GetSequenceRequest::decode(bytes.as_slice())
                {
                    refused_in_words(runtime.block_on(client.get_sequence(request)).err());
                } else if let Ok(request) = proto::BatchGetSequencesRequest::decode(bytes.as_slice()) {
                    refused_in_words(runtime.block_on(client.batch_get_sequences(request)).err());
                }
            }
        }
        number += 1;
        if number.is_multiple_of(100) {
            let healthy = ask(http, b"GET /healthz HTTP/1.1\r\nhost: tress\r\nconnection: close\r\n\r\n");
            assert!(healthy.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&healthy));
        }
    })
}

/// A refusal is the request's fault, and says which; never the server's.
fn refused_in_words(refused: Option<tonic::Status>) {
    use tonic::Code;
    if let Some(status) = refused {
        assert!(!matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable), "{status:?}");
    }
}

pub fn replies() -> Target {
    let batch = rows::some_rows();
    let schema = serve::plain(&batch.schema());
    let mut encoder = Encoder::new(&schema).expect("an encoder");
    encoder.push(&batch).expect("encoded");
    let seeds = vec![encoder.finish("").encode_to_vec()];
    let whole = proto::Columns::decode(seeds[0].as_slice()).expect("columns");
    assert_eq!(serve::decode(&schema, &whole).expect("the seed is valid").num_rows(), batch.num_rows());
    Box::new(move |random, keep| {
        let bytes = mutate(random, &seeds);
        keep(&bytes);
        if let Ok(columns) = proto::Columns::decode(bytes.as_slice())
            && let Ok(batch) = serve::decode(&schema, &columns)
        {
            drop(serve::rows_to_json(&batch));
        }
    })
}
