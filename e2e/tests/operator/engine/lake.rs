//! What jobs leave behind: records, backfills, histories, bases. They refuse what the engine refuses.

use std::collections::{BTreeMap, BTreeSet};

use tress_configs::Plan;
use tress_configs::job::{BaseMade, Demanded, Facts, HistoryIs, Outcome, PlanIs, Report, Role};

/// How many tasks a backfill has.
pub const TASKS: u64 = 2;
const PARTITIONS: u32 = 4;

/// Of all namespaces.
#[derive(Debug, Default)]
pub struct Lake {
    /// By UID of a revision's object.
    pub recorded: BTreeMap<String, Recorded>,
    /// By UID of a signal revision.
    pub data: BTreeMap<String, Data>,
    /// Topics that do not exist: who reads them cannot be prepared.
    pub missing: BTreeSet<String>,
    /// Topics that contradict their plans: who reads them is refused for good.
    pub contradicted: BTreeSet<String>,
    /// Whether pods of backfills' tasks wait for something before they start.
    pub busy: bool,
    /// What was done, in order.
    pub effects: Vec<Effect>,
}

/// What `prepare` records.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub plan: Plan,
    /// Of a feature: the signal revisions that it reads.
    pub signals: Vec<String>,
}

/// Of a signal revision.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// How many raw events there are; a backfill covers all of them.
    pub raw: u64,
    /// What the last seal covers.
    pub sealed: u64,
    /// The number of the last sealed backfill, which is the version of its history.
    pub backfill: u64,
    /// The work plan that is not sealed yet, and the indexes that are done of it.
    pub planned: Option<(u64, BTreeSet<u64>)>,
    pub base: Option<Base>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    pub manifest: u64,
    pub demands: u64,
    /// Digests of features' plans.
    pub features: Vec<String>,
}

/// Something that a job did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub role: Role,
    /// Of the revision.
    pub uid: String,
    /// Of the job's object.
    pub job: String,
}

/// A job as it is started.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Of its container, without the program.
    pub arguments: &'a [String],
    /// Files at `/etc/tress-given`.
    pub given: &'a BTreeMap<String, String>,
    /// The UID of its object.
    pub job: &'a str,
    /// Of an indexed job.
    pub index: u64,
}

impl Call<'_> {
    fn words(&self) -> Vec<&str> {
        // Behind `--platform FILE --report FILE`.
        self.arguments.iter().skip(4).map(String::as_str).collect()
    }

    fn all(&self, option: &str) -> Vec<&str> {
        self.arguments.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].as_str()).collect()
    }

    fn one(&self, option: &str) -> &str {
        self.all(option).first().copied().unwrap_or_default()
    }

    fn file(&self, option: &str) -> &str {
        let name = self.one(option).rsplit('/').next().unwrap_or_default();
        self.given.get(name).map_or("", String::as_str)
    }
}

/// The exit code that goes with an outcome.
pub fn exit_code(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Succeeded | Outcome::UpToDate | Outcome::Stopped => 0,
        Outcome::FailedForNow => 1,
        Outcome::Failed => 2,
    }
}

impl Lake {
    /// Does what a job is for.
    pub fn run(&mut self, call: &Call<'_>) -> Report {
        let uid = call.one("--uid").to_owned();
        let role = match call.words()[..] {
            ["prepare", ..] => Role::Prepare,
            ["backfill", "plan", ..] => Role::BackfillPlan,
            ["backfill", "tasks", ..] => Role::BackfillTasks,
            ["backfill", "seal", ..] => Role::BackfillSeal,
            ["backfill", "base", ..] => Role::Base,
            ["drop", ..] => Role::Drop,
            ref other => panic!("the engine is not called so: {other:?}"),
        };
        let done = match role {
            Role::Prepare => self.prepare(&uid, call),
            Role::Drop => Ok(self.drop(&uid)),
            _ => self.backfill(role, &uid, call),
        };
        match done {
            Ok(facts) => {
                let outcome = if facts.is_some() { Outcome::Succeeded } else { Outcome::UpToDate };
                self.effects.push(Effect { role, uid, job: call.job.to_owned() });
                Report::new(role, outcome, facts)
            }
            Err((outcome, reason)) => Report { reasons: vec![reason], ..Report::new(role, outcome, None) },
        }
    }

    fn prepare(&mut self, uid: &str, call: &Call<'_>) -> Result<Option<Facts>, (Outcome, String)> {
        let plan = Plan::from_json(call.file("--plan")).map_err(|e| (Outcome::Failed, e))?;
        let signals: Vec<String> = call.all("--signal").iter().map(|uid| (*uid).to_owned()).collect();
        let digest = plan.digest();
        match &plan {
            Plan::Signal(signal) => {
                let topic = serde_json::to_value(&signal.source).unwrap();
                let among =
                    |topics: &BTreeSet<String>| topics.iter().find(|name| topic.to_string().contains(&format!("\"{name}\""))).cloned();
                if let Some(name) = among(&self.missing) {
                    return Err((Outcome::FailedForNow, format!("topic {name} of connection main is not there; create it")));
                }
                if let Some(name) = among(&self.contradicted) {
                    return Err((Outcome::Failed, format!("topic {name} of connection main has no such fields")));
                }
                self.data.entry(uid.to_owned()).or_insert_with(|| Data { raw: 1, ..Data::default() });
            }
            Plan::Feature(feature) => {
                if feature.signals.len() != signals.len() {
                    return Err((Outcome::Failed, format!("{} signals are read, {} were given", feature.signals.len(), signals.len())));
                }
                for (read, other) in feature.signals.iter().zip(&signals) {
                    let Some(recorded) = self.recorded.get(other) else {
                        return Err((Outcome::FailedForNow, format!("the signal revision {other} is not recorded")));
                    };
                    if recorded.plan.digest() != read.digest {
                        return Err((
                            Outcome::Failed,
                            format!("the signal revision {other} is recorded with another plan than was compiled"),
                        ));
                    }
                }
            }
        }
        if self.recorded.get(uid).is_some_and(|before| before.plan != plan) {
            return Err((Outcome::Failed, format!("{uid} is recorded with another plan")));
        }
        let partitions = plan.as_signal().map(|_| PARTITIONS);
        self.recorded.insert(uid.to_owned(), Recorded { plan, signals });
        Ok(Some(Facts::Prepared { uid: uid.to_owned(), digest, partitions, path: format!("_tress/revisions/{uid}.json") }))
    }

    fn backfill(&mut self, role: Role, uid: &str, call: &Call<'_>) -> Result<Option<Facts>, (Outcome, String)> {
        let recorded = &self.recorded;
        let Some(data) = self.data.get_mut(uid) else { return Err((Outcome::FailedForNow, format!("{uid} is not prepared"))) };
        let uid = uid.to_owned();
        let number = call.one("--backfill").parse::<u64>().unwrap_or_default();
        match role {
            Role::BackfillPlan => {
                let restate = !call.one("--restate").is_empty();
                let (backfill, plan) = match &data.planned {
                    Some((unfinished, _)) => (*unfinished, PlanIs::Unfinished),
                    None if data.sealed == data.raw && !restate => return Ok(None),
                    None => (data.backfill + 1, PlanIs::Asked),
                };
                data.planned.get_or_insert((backfill, BTreeSet::new()));
                let path = format!("signals/{uid}/backfills/{backfill}.json");
                Ok(Some(Facts::Planned { uid, backfill, tasks: TASKS, plan, path }))
            }
            Role::BackfillTasks => match &mut data.planned {
                Some((planned, done)) if *planned == number => {
                    let of = call.one("--of").parse::<u64>().unwrap_or(1);
                    let mine: Vec<u64> = (0..TASKS).filter(|task| task % of == call.index % of).collect();
                    let tasks = mine.len() as u64;
                    done.extend(mine);
                    Ok(Some(Facts::TasksDone { uid, backfill: number, tasks, rows: 10 * tasks }))
                }
                _ if data.backfill >= number => Ok(None),
                _ => Err((Outcome::Failed, format!("backfill {number} of {uid}: it was not planned"))),
            },
            Role::BackfillSeal => {
                match &data.planned {
                    Some((planned, done)) if *planned == number => {
                        if done.len() as u64 != TASKS {
                            return Err((Outcome::FailedForNow, format!("{} of {TASKS} tasks are done", done.len())));
                        }
                        (data.backfill, data.sealed, data.planned) = (number, data.raw, None);
                    }
                    // Sealed before: it says so again.
                    _ if data.backfill == number => {}
                    _ => return Err((Outcome::Failed, format!("backfill {number} of {uid}: it was not planned"))),
                }
                let base = make_base(data, recorded, call)?;
                let (rows, history_version) = (10 * TASKS, data.backfill);
                let base = Some(base);
                Ok(Some(Facts::Sealed { uid, backfill: number, raw_events: rows, rows, dead: 0, history_version, base }))
            }
            _ if data.backfill == 0 => Ok(None),
            _ => Ok(Some(Facts::Based { base: make_base(data, recorded, call)?, uid })),
        }
    }

    fn drop(&mut self, uid: &str) -> Option<Facts> {
        self.recorded.remove(uid)?;
        self.data.remove(uid);
        Some(Facts::Dropped { uid: uid.to_owned(), topics: 2, files: 3, bytes: 100, history: HistoryIs::Dropped })
    }
}

/// A list that is older than the one before is not used.
fn make_base(data: &mut Data, recorded: &BTreeMap<String, Recorded>, call: &Call<'_>) -> Result<BaseMade, (Outcome, String)> {
    let list = Demanded::from_json(call.file("--demands")).map_err(|e| (Outcome::Failed, e.to_string()))?;
    let unknown = |digest: &&String| !recorded.values().any(|r| r.plan.digest() == **digest);
    if let Some(digest) = list.features.iter().find(unknown) {
        return Err((Outcome::FailedForNow, format!("plan {digest} is not recorded")));
    }
    let base = data.base.get_or_insert_default();
    if list.number >= base.demands {
        *base = Base { manifest: base.manifest + 1, demands: list.number, features: list.features };
    }
    Ok(BaseMade { manifest: base.manifest, demands: base.demands })
}
