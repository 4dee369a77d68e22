//! The path of an external log, with `{date}` and perhaps `{hour}` in it: which partition a file belongs to.

use std::ops::Range;

use tress_configs::definition::Bucket;

use crate::error::{Error, Result};
use crate::history::bucket;

/// A path with places for a date and an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<String>,
    size: Bucket,
}

impl Template {
    /// # Errors
    /// `Invalid` when the path has no `{date}`, or an `{hour}` without one.
    pub fn new(path: &str) -> Result<Self> {
        let size = match (path.contains("{date}"), path.contains("{hour}")) {
            (true, true) => Bucket::Hour,
            (true, false) => Bucket::Day,
            (false, _) => return Err(Error::invalid(format!("source.batch.path `{path}`: write {{date}} where the date is"))),
        };
        Ok(Self { segments: path.trim_matches('/').split('/').map(str::to_owned).collect(), size })
    }

    /// The folder that holds all partitions.
    #[must_use]
    pub fn folder(&self) -> String {
        self.segments.iter().take_while(|s| !s.contains('{')).cloned().collect::<Vec<_>>().join("/")
    }

    /// The times of the partition that a file lies in, µs, UTC; `None` for a file that lies elsewhere.
    #[must_use]
    pub fn partition_of(&self, file: &str) -> Option<Range<i64>> {
        let mut actual = file.split('/');
        let (mut date, mut hour) = (None, None);
        for pattern in &self.segments {
            let mut rest = actual.next()?;
            let mut pattern = pattern.as_str();
            while !pattern.is_empty() {
                if let Some(after) = pattern.strip_prefix("{date}") {
                    date = Some(rest.get(..10)?);
                    rest = rest.get(10..)?;
                    pattern = after;
                } else if let Some(after) = pattern.strip_prefix("{hour}") {
                    hour = Some(rest.get(..2)?);
                    rest = rest.get(2..)?;
                    pattern = after;
                } else {
                    let literal = pattern.find('{').filter(|at| *at > 0).unwrap_or(pattern.len());
                    rest = rest.strip_prefix(pattern.get(..literal)?)?;
                    pattern = pattern.get(literal..)?;
                }
            }
            if !rest.is_empty() {
                return None;
            }
        }
        // The partition is a folder: at least the file's own name is left.
        actual.next()?;
        let name = match self.size {
            Bucket::Day => date?.to_owned(),
            Bucket::Hour => format!("{}-{}", date?, hour?),
        };
        bucket::range_of(&name, self.size).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn files_are_found_in_the_partitions_of_days_and_hours() {
        let days = Template::new("raw/ratings/dt={date}").unwrap();
        assert_eq!(days.folder(), "raw/ratings");
        assert_eq!(days.partition_of("raw/ratings/dt=1970-01-02/part-0.parquet"), Some(24 * HOUR..48 * HOUR));
        assert_eq!(days.partition_of("raw/ratings/dt=1970-01-02/deep/part-0.parquet"), Some(24 * HOUR..48 * HOUR));
        let hours = Template::new("raw/{date}/h{hour}x/").unwrap();
        assert_eq!(hours.partition_of("raw/1970-01-01/h05x/a.parquet"), Some(5 * HOUR..6 * HOUR));
    }

    #[test]
    fn what_lies_elsewhere_is_no_partition() {
        let days = Template::new("raw/dt={date}").unwrap();
        for path in
            ["raw/a.parquet", "raw/dt=1970-01-02", "raw/dt=1970-01-0/a", "raw/dt=1970-02-30/a", "raw/dt=1970-01-02x/a", "raw/dt=x/a"]
        {
            assert_eq!(days.partition_of(path), None, "{path}");
        }
        assert!(Template::new("raw/{hour}").is_err());
    }
}
