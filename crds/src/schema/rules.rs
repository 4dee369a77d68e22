//! What a schema cannot say and an API server checks: names, one-ofs, what never changes. The list is the documentation.

/// An expression that has to be true of a place of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub kind: &'static str,
    /// `spec.definition.enrichments[].lookup`; empty = the whole object.
    pub at: &'static str,
    pub cel: &'static str,
    /// What who breaks it is told.
    pub message: &'static str,
}

const fn rule(kind: &'static str, at: &'static str, cel: &'static str, message: &'static str) -> Rule {
    Rule { kind, at, cel, message }
}

/// Operator-made objects add to these names and stay within 63.
const NAME: &str = "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";
const NAME_TOLD: &str = "metadata.name: at most 40 lower-case letters, digits and dashes, beginning and ending with a letter or digit";
/// Jobs add to these names and stay within 63.
const MADE_NAME: &str = "self.metadata.name.size() <= 51 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";
const MADE_NAME_TOLD: &str = "metadata.name: at most 51 lower-case letters, digits and dashes, beginning and ending with a letter or digit";

/// All rules, in the order in which they are checked.
pub const RULES: &[Rule] = &[
    rule("SignalDefinition", "", NAME, NAME_TOLD),
    rule(
        "SignalDefinition",
        "spec.definition.event.availableAt",
        "[has(self.recordTimestamp), has(self.field), has(self.eventTime)].filter(given, given).size() == 1",
        "exactly one of recordTimestamp, field, eventTime is needed",
    ),
    rule(
        "SignalDefinition",
        "spec.definition.source",
        "has(self.batch) != (has(self.archive) && self.archive)",
        "exactly one of batch and archive: true is needed",
    ),
    rule(
        "SignalDefinition",
        "spec.definition.source.stream.format",
        "has(self.json) != has(self.avro)",
        "exactly one of json, avro is needed",
    ),
    rule(
        "SignalDefinition",
        "spec.definition.executor",
        "has(self.declarative) != has(self.builtin)",
        "exactly one of declarative, builtin is needed",
    ),
    rule("SignalDefinition", "spec.definition.enrichments[].lookup", "has(self.table)", "table is needed"),
    rule("SequenceFeature", "", NAME, NAME_TOLD),
    rule(
        "SequenceFeature",
        "spec.definition.view",
        "has(self.sessions) != has(self.objects)",
        "exactly one of sessions, objects is needed",
    ),
    rule("Backfill", "", MADE_NAME, MADE_NAME_TOLD),
    rule("Backfill", "spec.mode", "has(self.incremental) != has(self.restate)", "exactly one of incremental, restate is needed"),
    rule(
        "Backfill",
        "spec",
        "self.revision == oldSelf.revision && self.mode == oldSelf.mode",
        "only suspend and parallelism can be changed; make another Backfill",
    ),
    rule("SignalRevision", "", MADE_NAME, MADE_NAME_TOLD),
    rule("SignalRevision", "spec", "self == oldSelf", "a revision is immutable"),
    rule("SequenceRevision", "", MADE_NAME, MADE_NAME_TOLD),
    rule("SequenceRevision", "spec", "self == oldSelf", "a revision is immutable"),
    rule("SequenceRollout", "", MADE_NAME, MADE_NAME_TOLD),
    rule(
        "SequenceRollout",
        "spec",
        "self.feature == oldSelf.feature && self.attempt == oldSelf.attempt && self.target == oldSelf.target && self.pool == oldSelf.pool \
         && has(self.previous) == has(oldSelf.previous) && (!has(self.previous) || self.previous == oldSelf.previous) \
         && has(self.changed) == has(oldSelf.changed) && (!has(self.changed) || self.changed == oldSelf.changed) \
         && has(self.class) == has(oldSelf.class) && (!has(self.class) || self.class == oldSelf.class) \
         && has(self.lifecycle) == has(oldSelf.lifecycle) && (!has(self.lifecycle) || self.lifecycle == oldSelf.lifecycle) \
         && has(self.forced) == has(oldSelf.forced) && (!has(self.forced) || self.forced == oldSelf.forced) \
         && has(self.policy) == has(oldSelf.policy) && (!has(self.policy) || self.policy == oldSelf.policy)",
        "only intent can be changed; what else is attempted is another attempt",
    ),
];

/// Those of one kind.
pub fn rules(kind: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.kind == kind)
}
