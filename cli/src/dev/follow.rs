//! Reading a file that grows.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What the end of the file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// The end.
    Stop,
    /// More may come.
    Wait,
}

/// Bytes of a file as they come; ends when it is told to stop.
#[derive(Debug)]
pub struct Follow {
    file: File,
    read: u64,
    at_end: AtEnd,
    stop: CancellationToken,
}

/// How often a file is looked at for more.
const LOOK: Duration = Duration::from_millis(100);

impl Follow {
    pub const fn new(file: File, at_end: AtEnd, stop: CancellationToken) -> Self {
        Self { file, read: 0, at_end, stop }
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(0);
            }
            let read = self.file.read(buffer)?;
            self.read += read as u64;
            if read > 0 || self.at_end == AtEnd::Stop || buffer.is_empty() {
                return Ok(read);
            }
            if self.file.metadata()?.len() < self.read {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it became shorter while it was followed; start again to read it anew",
                ));
            }
            std::thread::sleep(LOOK);
        }
    }
}
