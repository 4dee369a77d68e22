//! Fault points: every step at which a process may be killed or a disk may fail, named in one place, so that tests and the fault
//! suite can try each of them. A point costs one relaxed load unless something is armed.
//!
//! Tests arm points for their own thread: `let armed = faults::arm(Point::LogAck, 2, Action::Error);`. It holds while the guard
//! lives, for code on this thread (tests run on a current-thread runtime) and for closures that went through [`carry`].
//! A whole process is armed by [`arm_from_env`], which only what a process begins with calls.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, ErrorKind, Result};

/// `point:count:action`, for example `LogAck:3:abort`.
pub const VARIABLE: &str = "TRESS_FAULT";

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A step that can be made to fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point { $($(#[$doc])* $name),* }

        impl Point {
            /// Every point, in the order data flows.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

points! {
    /// Before the bytes of an append are written; the one that can be torn.
    LogAppend,
    /// After the bytes of an append are written, before they are acknowledged.
    LogWritten,
    /// Before the acknowledged length is written.
    LogAck,
    /// After the acknowledged length is written, before the caller learns of it.
    LogAcked,
    /// Between the new file of a group's positions and its taking the place of the old one.
    LogCommit,
    /// Before whole segments are dropped.
    LogTrim,
    ChangelogAppend,
    StreamCommit,
    /// Between an archive's data file and the commit that names it.
    ArchiveCommit,
    /// After an archive's commit.
    ArchiveCommitted,
    WorkPlanPut,
    TaskFile,
    TaskManifest,
    /// Before the commit of a seal.
    SealCommit,
    /// After the commit of a seal.
    SealCommitted,
    BaseRun,
    BaseManifest,
    TailFreeze,
    TailSnapshot,
    ReadSetSwap,
    ChangelogTrim,
    RouteWrite,
    /// Before a file is deleted that nothing refers to.
    Vacuum,
}

/// What happens at an armed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The step fails as if the outside world did not answer.
    Error,
    /// The step fails as if the disk had no room.
    Full,
    /// The process ends at once.
    Abort,
    /// The task that reaches it panics.
    Panic,
    /// Half of the bytes are written; then the step fails (tests) or the process ends (environment).
    Torn,
}

#[derive(Debug)]
struct Armed {
    point: Point,
    /// The hit that fails: 1 = the first.
    at: u32,
    action: Action,
    hits: AtomicU32,
}

/// How many things are armed anywhere: nothing is looked up while it is 0.
static ARMED: AtomicUsize = AtomicUsize::new(0);
static PROCESS: OnceLock<Armed> = OnceLock::new();

thread_local! {
    static HERE: RefCell<Vec<Arc<Armed>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a point armed for this thread while it lives.
#[derive(Debug)]
#[must_use = "the point is armed while this lives"]
pub struct Guard(Arc<Armed>);

impl Guard {
    /// How often the point was reached.
    #[must_use]
    pub fn hits(&self) -> u32 {
        self.0.hits.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        HERE.with_borrow_mut(|armed| armed.retain(|a| !Arc::ptr_eq(a, &self.0)));
        ARMED.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Arms a point for this thread: its `at`-th hit (from 1 on) fails.
pub fn arm(point: Point, at: u32, action: Action) -> Guard {
    let armed = Arc::new(Armed { point, at, action, hits: AtomicU32::new(0) });
    HERE.with_borrow_mut(|all| all.push(Arc::clone(&armed)));
    ARMED.fetch_add(1, Ordering::SeqCst);
    Guard(armed)
}

/// Arms the process by `TRESS_FAULT`, if it is set: `process::run` of builds for tests, and tests that are processes.
///
/// # Errors
/// `Invalid` when the variable does not read `point:count:abort|error|full|panic|torn`.
pub fn arm_from_env() -> Result<()> {
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let armed = value.to_str().and_then(parse).ok_or_else(|| {
        let names: Vec<_> = Point::ALL.iter().map(|p| p.name()).collect();
        Error::invalid(format!("{VARIABLE}: must read point:count:abort|error|full|panic|torn; points are {}", names.join(", ")))
    })?;
    tracing::warn!(point = armed.point.name(), at = armed.at, action = ?armed.action, "a fault is armed");
    if PROCESS.set(armed).is_ok() {
        ARMED.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn parse(text: &str) -> Option<Armed> {
    let mut parts = text.split(':');
    let (point, at, action) = (parts.next()?, parts.next()?, parts.next()?);
    let action = match action {
        "error" => Action::Error,
        "full" => Action::Full,
        "abort" => Action::Abort,
        "panic" => Action::Panic,
        "torn" => Action::Torn,
        _ => return None,
    };
    let point = *Point::ALL.iter().find(|p| p.name() == point)?;
    let at = at.parse().ok().filter(|at| *at > 0)?;
    parts.next().is_none().then_some(Armed { point, at, action, hits: AtomicU32::new(0) })
}

/// Passes, unless this hit of the point is armed.
///
/// # Errors
/// What the armed action says.
pub fn point(point: Point) -> Result<()> {
    if ARMED.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    hit(point).map_or(Ok(()), |action| fail(point, action))
}

/// A point at which `length` bytes are about to be written. `Some(n)`: write only the first `n`, then call [`tore`].
///
/// # Errors
/// What the armed action says.
pub fn write_point(point: Point, length: usize) -> Result<Option<usize>> {
    if ARMED.load(Ordering::Relaxed) == 0 {
        return Ok(None);
    }
    match hit(point) {
        Some(Action::Torn) => Ok(Some(length / 2)),
        Some(action) => fail(point, action).map(|()| None),
        None => Ok(None),
    }
}

/// Ends a torn write: the process, if the environment armed it; else the step.
///
/// # Errors
/// Always.
pub fn tore(point: Point) -> Result<()> {
    if PROCESS.get().is_some_and(|p| p.point == point) {
        std::process::abort();
    }
    fail(point, Action::Error)
}

/// Takes what is armed for this thread along to another one.
pub fn carry<T>(work: impl FnOnce() -> T + Send) -> impl FnOnce() -> T + Send {
    let armed = if ARMED.load(Ordering::Relaxed) == 0 { Vec::new() } else { HERE.with_borrow(Clone::clone) };
    move || {
        if armed.is_empty() {
            return work();
        }
        let before = HERE.replace(armed);
        let done = work();
        HERE.set(before);
        done
    }
}

/// The action of this hit, if it is armed.
fn hit(point: Point) -> Option<Action> {
    let count = |armed: &Armed| (armed.hits.fetch_add(1, Ordering::SeqCst) + 1 == armed.at).then_some(armed.action);
    let here = HERE.with_borrow(|all| all.iter().filter(|a| a.point == point).find_map(|a| count(a)));
    here.or_else(|| PROCESS.get().filter(|p| p.point == point).and_then(count))
}

fn fail(point: Point, action: Action) -> Result<()> {
    match action {
        Action::Abort => std::process::abort(),
        Action::Panic => std::panic::panic_any(format!("fault {}", point.name())),
        Action::Full => Err(Error::new(ErrorKind::Full, format!("fault {}: no room", point.name()))),
        Action::Error | Action::Torn => Err(Error::new(ErrorKind::Unavailable, format!("fault {}", point.name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_armed_hit_of_the_armed_point_fails_and_only_while_the_guard_lives() {
        let armed = arm(Point::LogAck, 2, Action::Error);
        assert!(point(Point::LogAck).is_ok());
        assert!(point(Point::LogCommit).is_ok());
        assert_eq!(point(Point::LogAck).unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(point(Point::LogAck).is_ok());
        assert_eq!(armed.hits(), 3);
        drop(armed);
        let _again = arm(Point::LogCommit, 1, Action::Full);
        assert!(point(Point::LogAck).is_ok());
        assert_eq!(point(Point::LogCommit).unwrap_err().kind(), ErrorKind::Full);
    }

    #[test]
    fn another_thread_is_not_armed_unless_the_work_was_carried_there() {
        let _armed = arm(Point::LogTrim, 1, Action::Error);
        assert!(std::thread::spawn(|| point(Point::LogTrim)).join().unwrap().is_ok());
        assert!(std::thread::spawn(carry(|| point(Point::LogTrim))).join().unwrap().is_err());
    }

    #[test]
    fn the_variable_is_read_whole_or_refused() {
        let armed = parse("SealCommit:3:torn").unwrap();
        assert_eq!((armed.point, armed.at, armed.action), (Point::SealCommit, 3, Action::Torn));
        for wrong in ["", "SealCommit", "SealCommit:3", "Nothing:1:abort", "LogAck:0:abort", "LogAck:1:explode", "LogAck:1:abort:2"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
