//! Room for recursion: parsing and planning take tens of kilobytes of stack per level in debug builds, while a thread of an
//! async runtime has two megabytes in all. So both run on a thread of their own, which costs microseconds.

/// What the deepest text that the parser lets through needs, twice over.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Runs `work` with room enough for the deepest expression.
pub(super) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| format!("no thread could be started to plan it: {e}"))?;
        thread.join().map_err(|_| "planning it failed".to_owned())
    })
}
