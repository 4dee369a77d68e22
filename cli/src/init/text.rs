//! The definitions as text, with the reason for each line.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value};

use super::guess::{Role, Roles};
use super::infer::{Field, Shape};
use super::name;
use tress_configs::yaml;

/// What a signal is made of.
#[derive(Debug)]
pub struct Draft<'a> {
    pub name: String,
    pub topic: String,
    /// The sample, as people call it.
    pub origin: String,
    pub fields: &'a [Field],
    pub roles: &'a Roles,
}

impl Draft<'_> {
    /// The signal's file.
    pub fn signal(&self) -> String {
        let roles = self.roles;
        let fields: String = self.fields.iter().map(|f| format!("        - {}\n", self.field(f))).collect();
        format!(
            "\
# Written by `tress init` from {origin}. Change what is wrong; `tress lint` checks it.
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {{name: {name}}}
spec:
  definition:
    description: {description}
    # Whose sequence it is: a field of type string or int64.
{entity_guess}    entity: {{field: {entity}}}
    event:
      # When it happened.
{time_guess}      time: {{field: {time}, unit: {unit}}}
      # When a reader could first have known it: here, when its record came into the topic.
      availableAt: {{recordTimestamp: {{}}}}
      # Together with entity and time: the identity of an event. Records with one identity are states of one event.
{id_guess}      id: {id}
      # Which of two states is newer; without it, the one that came later.
      # version: {{field: updated_at}}
      # True for a record that removes the event with its identity.
      # delete: \"op = 'd'\"
      fields:
{fields}    source:
      # Only records for which this is true are events of this signal: many signals may share a topic.
      # where: \"kind = 'view'\"
      stream: {{connection: main, topic: {topic}, format: {{json: {{}}}}}}
      # Tress keeps the raw records itself, so that history can be made anew from them.
      archive: true
    # What becomes of an event:
    # executor:
    #   declarative:
    #     filter: \"{some} IS NOT NULL\"
    #     derive:
    #       - {{name: has_{some}, expr: \"{some} IS NOT NULL\"}}
",
            origin = self.origin,
            description = yaml::inline(&Value::from(format!("Events as in {}", self.origin))),
            name = self.name,
            entity = roles.entity,
            entity_guess =
                self.guess(Role::Entity, "    # A guess from the names in the sample: change it if events are kept for somebody else.\n"),
            time_guess = self.guess(
                Role::Time,
                "      # A guess from the names and values in the sample: change it if it is another time, or another unit.\n"
            ),
            id_guess = self.guess(
                Role::Id,
                "      # A guess from the names and values in the sample: change it if two events of one entity and time can share it.\n"
            ),
            time = roles.time,
            unit = roles.unit.name(),
            id = yaml::inline(&Value::from(roles.id.clone())),
            topic = self.topic,
            some = self.fields.iter().find(|f| !self.has_role(f)).map_or(roles.entity.as_str(), |f| &f.name),
        )
    }

    /// The test's file: the first record that has all it needs, and the row that comes of it. `None` = there is no such record.
    pub fn test(&self, feature: &str, records: &[Map<String, Value>]) -> Option<String> {
        let roles = self.roles;
        let needed: Vec<&Field> = self.fields.iter().filter(|f| self.has_role(f)).collect();
        let record = records.iter().find(|r| needed.iter().all(|f| !f.of(r).is_null()))?;
        let value = |name: &str| self.fields.iter().find(|f| f.name == name).map(|f| f.of(record));
        let at = DateTime::from_timestamp_micros(roles.unit.micros(value(&roles.time)?)?.checked_add(1_000_000)?)?;
        let shown =
            |f: &&Field| f.name != roles.entity && f.name != roles.time && matches!(f.shape, Shape::One(_)) && !f.of(record).is_null();
        let expected: Map<String, Value> = self.fields.iter().filter(shown).map(|f| (f.name.clone(), f.of(record).clone())).collect();
        Some(format!(
            "\
# Raw events in, rows of a sequence out: `tress test` runs them through the real engine.
tests:
  - name: an event of the sample is in the sequence of its entity
    given: {{{signal}: [{given}]}}
    read: {{feature: {feature}, entity: {entity}, asOf: \"{as_of}\"}}
    expect:
      - {expected}
  - name: what happens after the time of the read is not in it
    given: {{{signal}: [{given}]}}
    read: {{feature: {feature}, entity: {entity}, asOf: \"{before}\"}}
    expect: []
",
            signal = self.name,
            given = yaml::inline(&Value::Object(record.clone())),
            entity = yaml::inline(value(&roles.entity)?),
            as_of = at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            before = (at - chrono::TimeDelta::seconds(2)).to_rfc3339_opts(SecondsFormat::AutoSi, true),
            expected = yaml::inline(&Value::Object(expected)),
        ))
    }

    fn field(&self, field: &Field) -> String {
        let mut text = format!("name: {}, ", field.name);
        text.push_str(&match field.shape {
            Shape::One(scalar) => format!("type: {}", scalar.name()),
            Shape::List(scalar) => format!("type: {}, list: true", scalar.name()),
            Shape::Vector(dim) => format!("type: float32, dim: {dim}"),
        });
        if field.path != [field.name.as_str()] {
            text.push_str(&format!(", path: {}", yaml::inline(&Value::from(field.path.join(".")))));
        }
        if field.nullable && !self.has_role(field) {
            text.push_str(", nullable: true");
        }
        format!("{{{text}}}")
    }

    /// The comment on what was guessed; nothing for what somebody said.
    fn guess(&self, role: Role, comment: &'static str) -> &'static str {
        if self.roles.guessed.contains(&role) { comment } else { "" }
    }

    fn has_role(&self, field: &Field) -> bool {
        field.name == self.roles.entity || field.name == self.roles.time || self.roles.id.contains(&field.name)
    }
}

/// The feature's file: the newest events of some signals.
pub fn feature(name: &str, signals: &[String]) -> String {
    let uses: String = signals.iter().map(|signal| format!("      - {{name: {signal}}}\n")).collect();
    format!(
        "\
# Written by `tress init`. A feature is a read: it stores nothing, and changing it recomputes nothing.
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {{name: {name}}}
spec:
  definition:
    description: The last 100 events of {signals}.
    # What it reads. Of each signal: columns: [...], rename: {{theirs: ours}}, where: \"...\", length: 50
    signals:
{uses}    # The most events of a sequence.
    length: 100
    # Only events of the last 180 days:
    # window: 180d
    # Only the latest event of each item:
    # deduplicate: {{by: [item_id]}}
    # Events folded into sessions:
    # view: {{sessions: {{gap: 30m}}}}
",
        signals = signals.join(" and "),
    )
}

/// What a feature over a signal is called, unless a name is given.
pub fn feature_name(signal: &str) -> String {
    name::definition(&format!("recent-{signal}"))
}
