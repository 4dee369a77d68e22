//! Progress of long work, on standard error and only where a person looks.

use indicatif::{ProgressBar, ProgressStyle};
use tress_engine::node::Progress;

/// A bar that is hidden unless standard error is a terminal.
pub fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// Moves a bar.
pub fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.tasks as u64);
    bar.set_position(progress.tasks_done as u64);
}
