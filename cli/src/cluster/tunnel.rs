//! A way to a port of a pod through the API server: what `kubectl port-forward` does.
//!
//! A client that wants an address gets a socket in a folder that only this user may enter: no port of this machine is opened.

use std::fs::{self, DirBuilder};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy_bidirectional};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::trouble::told;
use crate::session::address::new_token;

/// How long the API server and the node may take to open a connection.
const OPEN: Duration = Duration::from_secs(15);
/// The most bytes of an answer that is asked for as text.
const MAX_TEXT: usize = 16 << 20;

/// A port of a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub namespace: String,
    pub pod: String,
    pub number: u16,
}

/// An open way; it closes when it goes.
#[derive(Debug)]
pub struct Tunnel {
    folder: PathBuf,
    carrying: JoinHandle<()>,
    /// What the node said last about a connection that failed.
    said: watch::Receiver<Option<String>>,
}

impl Tunnel {
    /// Opens a way, which any number of connections may go.
    ///
    /// # Errors
    /// When the user may not, the pod is gone, or nothing leads there.
    pub async fn open(pods: Api<Pod>, port: Port) -> anyhow::Result<Self> {
        let (told, said) = watch::channel(None);
        let there = move |said: watch::Sender<Option<String>>| {
            let (pods, port) = (pods.clone(), port.clone());
            async move { connect(&pods, &port, &said).await }
        };
        Self::over(there, (told, said)).await
    }

    /// The same over any way to connect.
    async fn over<S, F>(
        connect: impl Fn(watch::Sender<Option<String>>) -> F + Send + 'static,
        (told, said): (watch::Sender<Option<String>>, watch::Receiver<Option<String>>),
    ) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = anyhow::Result<S>> + Send,
    {
        // The first one now: whoever may not hears it here.
        let mut next = Some(connect(told.clone()).await?);
        let folder = private_folder()?;
        let bound = UnixListener::bind(folder.join("pod")).context("make a socket in the folder for temporary files");
        let listener = bound.inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        let carrying = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let there = match next.take() {
                    Some(there) => Ok(there),
                    None => connect(told.clone()).await,
                };
                match there {
                    Ok(mut there) => {
                        // Its end is the client's or the pod's to explain; it ends with the runtime at the latest.
                        tokio::spawn(async move { copy_bidirectional(&mut here, &mut there).await.map(|_| ()) });
                    }
                    Err(e) => drop(told.send_replace(Some(e.to_string()))),
                }
            }
        });
        Ok(Self { folder, carrying, said })
    }

    /// Where a gRPC client connects to.
    pub fn address(&self) -> String {
        format!("unix:{}", self.folder.join("pod").display())
    }

    /// Why the last connection failed, as far as the node said.
    pub fn why(&self) -> Option<String> {
        self.said.borrow().clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.carrying.abort();
        if let Err(e) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(path = %self.folder.display(), error = %e, "could not be removed");
        }
    }
}

/// How a pod is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// What a pod answers to a plain GET.
///
/// # Errors
/// When there is no way to the pod, or it does not answer with 200.
pub async fn get(pods: &Api<Pod>, port: &Port, path: &str) -> anyhow::Result<String> {
    match ask(pods, port, (Method::Get, path)).await? {
        (200, text) => Ok(text),
        (status, _) => Err(anyhow!("ask pod {}: it answers with status {status}", port.pod)),
    }
}

/// Status and text of an answer.
///
/// # Errors
/// When there is no way to the pod, or it does not answer.
pub async fn ask(pods: &Api<Pod>, port: &Port, request: (Method, &str)) -> anyhow::Result<(u16, String)> {
    let (told, said) = watch::channel(None);
    let mut stream = connect(pods, port, &told).await?;
    text(&mut stream, request).await.map_err(|e| match said.borrow().as_ref() {
        Some(said) => anyhow!("ask pod {}: {said}", port.pod),
        None => e.context(format!("ask pod {}", port.pod)),
    })
}

async fn connect(pods: &Api<Pod>, port: &Port, said: &watch::Sender<Option<String>>) -> anyhow::Result<DuplexStream> {
    let Port { namespace, pod, number } = port;
    let doing = format!("reach port {number} of pod {namespace}/{pod}");
    let opened = tokio::time::timeout(OPEN, pods.portforward(pod, &[*number])).await;
    let mut forwarder = opened
        .map_err(|_| anyhow!("{doing}: the cluster took more than {} s", OPEN.as_secs()))?
        // Whatever the cluster refuses here, it was not the person who named the pod.
        .map_err(|e| anyhow!("{}", told(e, &doing)))?;
    if let Some(failing) = forwarder.take_error(*number) {
        let said = said.clone();
        tokio::spawn(async move {
            if let Some(why) = failing.await {
                said.send_replace(Some(why));
            }
        });
    }
    forwarder.take_stream(*number).ok_or_else(|| anyhow!("{doing}: the cluster gave no stream"))
}

/// A request in the oldest dialect, whose answers are never cut into chunks.
async fn text(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), (method, path): (Method, &str)) -> anyhow::Result<(u16, String)> {
    let request = match method {
        Method::Get => format!("GET {path} HTTP/1.0\r\nhost: pod\r\n\r\n"),
        Method::Post => format!("POST {path} HTTP/1.0\r\nhost: pod\r\ncontent-length: 0\r\n\r\n"),
    };
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        // The other end may stay open for a while: the length says when it is all.
        if let Some(whole) = whole(&answer)? {
            return Ok(whole);
        }
        if answer.len() > MAX_TEXT {
            bail!("it answers with more than {MAX_TEXT} bytes");
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return ended(&answer);
        }
    }
}

/// Head and body of an answer, once its head is there.
fn parts(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + 4..)?))
}

fn whole(answer: &[u8]) -> anyhow::Result<Option<(u16, String)>> {
    let Some((head, body)) = parts(answer) else { return Ok(None) };
    let length = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length.and_then(|(_, length)| length.trim().parse::<usize>().ok()) {
        Some(length) if body.len() >= length => read(head, body.get(..length).unwrap_or(body)).map(Some),
        _ => Ok(None),
    }
}

fn ended(answer: &[u8]) -> anyhow::Result<(u16, String)> {
    let (head, body) = parts(answer).ok_or_else(|| anyhow!("it ended before it answered"))?;
    read(head, body)
}

fn read(head: &str, body: &[u8]) -> anyhow::Result<(u16, String)> {
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| anyhow!("it does not answer as HTTP"))?, String::from_utf8(body.to_vec())?))
}

/// A folder that only this user may enter.
fn private_folder() -> anyhow::Result<PathBuf> {
    let token = new_token()?;
    let folder = std::env::temp_dir().join(format!("tress-{}", token.get(..16).unwrap_or(&token)));
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).with_context(|| format!("make folder {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::net::TcpStream;
    use tress_engine::clock::SystemClock;
    use tress_engine::entity::Entity;
    use tress_engine::log::NewRecord;
    use tress_engine::node::{Node, Settings};
    use tress_engine::serve::{Client, Wanted};

    use super::*;
    use crate::definitions::Workspace;
    use crate::session::any_port;

    const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item_id]
      fields: [{name: user_id, type: string}, {name: item_id, type: int64}, {name: ts, type: int64}]
    source:
      stream: {connection: main, topic: ratings, format: {json: {}}}
      archive: true
    columns: [item_id]
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: recent, namespace: movies}
spec: {definition: {signals: [{name: rating}], length: 5}}
"#;

    /// A real server of sequences, with two events of one entity.
    async fn served(folder: &std::path::Path) -> (Arc<Node>, SocketAddr) {
        let file = folder.join("definitions.yaml");
        fs::write(&file, DEFINITIONS).expect("written");
        let workspace = Workspace::load(&[file]).expect("read");
        assert!(workspace.is_sound(), "{}", workspace.render_issues(crate::render::Style::plain()));
        let settings =
            Settings { state: folder.join("state"), tables: folder.to_owned(), clock: Arc::new(SystemClock), listen: Some(any_port()) };
        let node = Node::open(settings).await.expect("a node");
        node.apply(workspace.desired()).await.expect("applied");
        let records = [1, 2].map(|n| NewRecord {
            payload: format!("{{\"user_id\":\"u1\",\"item_id\":{n},\"ts\":{}}}", 1_700_000_000 + n).into(),
            ..NewRecord::default()
        });
        node.append("ratings", records.to_vec()).await.expect("appended");
        node.settle().await.expect("settled");
        let grpc = node.listening().expect("it listens").grpc;
        (node, grpc)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sequences_are_read_by_grpc_through_a_tunnel_and_what_fails_on_the_way_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (node, grpc) = served(folder.path()).await;
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = Arc::clone(&broken);
        let connect = move |_| {
            let is_broken = is_broken.load(Ordering::SeqCst);
            async move { if is_broken { bail!("nothing listens on 7400") } else { anyhow::Ok(TcpStream::connect(grpc).await?) } }
        };
        let tunnel = Tunnel::over(connect, watch::channel(None)).await.expect("a tunnel");
        let patience = Duration::from_secs(10);
        // Each client has a connection of its own.
        for _ in 0..2 {
            let client = Client::connect(&tunnel.address(), patience).await.expect("connected");
            let reply = client.get("movies/recent", &Entity::String("u1".into()), &Wanted::default()).await.expect("a sequence");
            assert_eq!(reply.rows.num_rows(), 2);
        }
        broken.store(true, Ordering::SeqCst);
        let failed = match Client::connect(&tunnel.address(), patience).await {
            Ok(client) => client.describe("movies/recent", None).await.map(|_| ()),
            Err(e) => Err(e),
        };
        assert!(failed.is_err());
        assert_eq!(tunnel.why().as_deref(), Some("nothing listens on 7400"));
        let socket = tunnel.folder.clone();
        drop(tunnel);
        assert!(!socket.exists());
        node.shutdown().await.expect("stopped");
    }

    #[tokio::test]
    async fn whoever_may_not_hears_it_before_anything_is_made() {
        let refused = |_| async { Err::<DuplexStream, _>(anyhow!("you may not")) };
        let error = Tunnel::over(refused, watch::channel(None)).await.expect_err("refused");
        assert_eq!(error.to_string(), "you may not");
    }

    async fn answered(answer: &'static [u8], and_stays: bool) -> Result<(u16, String), String> {
        let (mut here, mut there) = tokio::io::duplex(64);
        let pod = tokio::spawn(async move {
            let mut asked = [0; 10];
            there.read_exact(&mut asked).await.expect("a request");
            assert_eq!(&asked, b"GET /x HTT");
            there.write_all(answer).await.expect("written");
            if and_stays {
                std::future::pending::<()>().await;
            }
        });
        let told = text(&mut here, (Method::Get, "/x")).await.map_err(|e| e.to_string());
        pod.abort();
        told
    }

    #[tokio::test]
    async fn an_answer_is_whole_by_its_length_or_by_its_end() {
        assert_eq!(answered(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes", true).await, Ok((200, "yes".into())));
        assert_eq!(answered(b"HTTP/1.0 200 OK\r\n\r\nyes", false).await, Ok((200, "yes".into())));
        assert_eq!(answered(b"HTTP/1.0 503 No\r\ncontent-length: 2\r\n\r\nno", true).await, Ok((503, "no".into())));
        assert_eq!(answered(b"HTTP/1.0 2", false).await, Err("it ended before it answered".into()));
    }

    #[test]
    fn the_folder_of_a_socket_is_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let folder = private_folder().expect("a folder");
        let mode = fs::metadata(&folder).expect("there").permissions().mode();
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(mode & 0o777, 0o700);
    }
}
