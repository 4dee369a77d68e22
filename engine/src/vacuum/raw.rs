//! Files of archives that were killed between a file and the commit that names it.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;

use super::{Vacuumed, delete, list};
use crate::archive::RawTable;
use crate::error::{Context, Result};
use crate::layout;

/// Deletes files of a topic's raw table that no version names and none ever will: an archive goes on from where its partition is
/// archived, so a file that begins before that and is not named was left by one that was killed, or was second.
///
/// # Errors
/// When the lake does not answer.
pub async fn raw(table: &RawTable) -> Result<Vacuumed> {
    let doing = || format!("vacuum {}", table.path());
    let files = list(table.lake(), table.path()).await.context(doing)?;
    let Some(snapshot) = table.snapshot(None).await.context(doing)? else { return Ok(Vacuumed::default()) };
    let stays: BTreeSet<Path> = snapshot.files.iter().map(|file| Path::from(format!("{}/{}", table.path(), file.path))).collect();
    let archived: BTreeMap<i32, i64> = snapshot.cut.iter().map(|p| (p.partition, p.offset)).collect();
    let unused = files.into_iter().filter(|file| {
        !stays.contains(&file.location)
            && layout::raw_file_start(file.location.as_ref())
                .is_some_and(|(partition, start)| archived.get(&partition).is_some_and(|end| start < *end))
    });
    delete(table.lake(), unused.collect(), &stays).await.context(doing)
}
