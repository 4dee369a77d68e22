//! `--input topic=FILE|-`: where records come from.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A source of records for a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub topic: String,
    pub from: From,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    Stdin,
    File(PathBuf),
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (topic, from) = text.split_once('=').ok_or("write it as topic=FILE, or topic=- for standard input")?;
        if topic.is_empty() || from.is_empty() {
            return Err("write it as topic=FILE, or topic=- for standard input".into());
        }
        let from = if from == "-" { From::Stdin } else { From::File(PathBuf::from(from)) };
        Ok(Self { topic: topic.to_owned(), from })
    }
}

impl Input {
    /// For people.
    pub fn shown(&self) -> String {
        match &self.from {
            From::Stdin => "standard input".into(),
            From::File(path) => path.display().to_string(),
        }
    }

    /// Which input it is, across restarts: by its absolute path and its first line.
    pub fn id(&self, first_line: &[u8]) -> String {
        let path = match &self.from {
            From::Stdin => PathBuf::from("-"),
            From::File(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        };
        fingerprint(&path, first_line)
    }
}

fn fingerprint(path: &Path, first_line: &[u8]) -> String {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(first_line);
    format!("{:016x}", tress_engine::entity::hash_bytes(&bytes))
}
