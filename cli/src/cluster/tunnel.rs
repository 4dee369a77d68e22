//! A way to a port of a pod through the API server: what `kubectl port-forward` does.
//!
//! A client that wants an address gets a socket in a folder that only this user may enter: no port of this machine is opened.

use std::fs::{self, DirBuilder};
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
        // The first one now: whoever may not hears it here.
        let mut next = Some(connect(&pods, &port, &told).await?);
        let folder = private_folder()?;
        let bound = UnixListener::bind(folder.join("pod")).context("make a socket in the folder for temporary files");
        let listener = bound.inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
        let carrying = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let there = match next.take() {
                    Some(there) => Ok(there),
                    None => connect(&pods, &port, &told).await,
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

/// What a pod answers to a plain GET.
///
/// # Errors
/// When there is no way to the pod, or it does not answer with 200.
pub async fn get(pods: &Api<Pod>, port: &Port, path: &str) -> anyhow::Result<String> {
    let (told, said) = watch::channel(None);
    let mut stream = connect(pods, port, &told).await?;
    text(&mut stream, path).await.map_err(|e| match said.borrow().as_ref() {
        Some(said) => anyhow!("ask pod {}: {said}", port.pod),
        None => e.context(format!("ask pod {}", port.pod)),
    })
}

async fn connect(pods: &Api<Pod>, port: &Port, said: &watch::Sender<Option<String>>) -> anyhow::Result<DuplexStream> {
    let Port { namespace, pod, number } = port;
    let doing = format!("reach port {number} of pod {namespace}/{pod}");
    let opened = tokio::time::timeout(OPEN, pods.portforward(pod, &[*number])).await;
    let mut forwarder = opened.map_err(|_| anyhow!("{doing}: the cluster took more than {} s", OPEN.as_secs()))?.map_err(|e| told(e, &doing))?;
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

/// A GET in the oldest dialect, whose answers are never cut into chunks.
async fn text(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> anyhow::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: pod\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        // The other end may stay open for a while: the length says when it is all.
        if let Some(body) = whole(&answer)? {
            return Ok(body);
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

fn whole(answer: &[u8]) -> anyhow::Result<Option<String>> {
    let Some((head, body)) = parts(answer) else { return Ok(None) };
    let length = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length.and_then(|(_, length)| length.trim().parse::<usize>().ok()) {
        Some(length) if body.len() >= length => body_of(head, body.get(..length).unwrap_or(body)).map(Some),
        _ => Ok(None),
    }
}

fn ended(answer: &[u8]) -> anyhow::Result<String> {
    let (head, body) = parts(answer).ok_or_else(|| anyhow!("it ended before it answered"))?;
    body_of(head, body)
}

fn body_of(head: &str, body: &[u8]) -> anyhow::Result<String> {
    let status = head.split_whitespace().nth(1).unwrap_or("none");
    if status != "200" {
        bail!("it answers with status {status}");
    }
    Ok(String::from_utf8(body.to_vec())?)
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
    use super::*;

    async fn answered(answer: &'static [u8], and_stays: bool) -> Result<String, String> {
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
        let told = text(&mut here, "/x").await.map_err(|e| e.to_string());
        pod.abort();
        told
    }

    #[tokio::test]
    async fn an_answer_is_whole_by_its_length_or_by_its_end() {
        assert_eq!(answered(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes", true).await, Ok("yes".into()));
        assert_eq!(answered(b"HTTP/1.0 200 OK\r\n\r\nyes", false).await, Ok("yes".into()));
        assert_eq!(answered(b"HTTP/1.0 503 No\r\ncontent-length: 2\r\n\r\nno", true).await, Err("it answers with status 503".into()));
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
