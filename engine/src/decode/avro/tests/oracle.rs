//! Random schemas, random changes of them, random values: decoded, they are what a naive reading of the specification makes of the
//! values, as JSON.

use proptest::prelude::*;

use super::model::{F, T};
use super::*;

/// Numbers that follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    fn name(&mut self) -> String {
        format!("n{:x}", self.next() as u32)
    }

    fn scalar(&mut self) -> T {
        match self.below(10) {
            0 => T::Bool,
            1 => T::Int,
            2 => T::Long,
            3 => T::Float,
            4 => T::Double,
            5 => T::Bytes,
            6 => T::Fixed(self.name(), 3),
            7 => T::Enum(self.name(), (0..4).map(|n| format!("S{n}")).collect()),
            _ => T::Str,
        }
    }

    fn any(&mut self, depth: usize) -> T {
        match self.below(if depth > 2 { 8 } else { 14 }) {
            0..=6 => self.scalar(),
            7 => T::Null,
            8 => T::Array(Box::new(self.any(depth + 1))),
            9 => T::Map(Box::new(self.any(depth + 1))),
            10 | 11 => self.record(depth + 1),
            _ => {
                let more = self.any(depth + 1);
                self.union(more)
            }
        }
    }

    /// A union with `t` in it; of a union, the union.
    fn union(&mut self, t: T) -> T {
        if matches!(t, T::Union(_)) {
            return t;
        }
        let mut branches = vec![t];
        let more = if self.one_in(3) { self.scalar() } else { T::Null };
        for branch in [more, T::Null] {
            let same = |b: &T| std::mem::discriminant(b) == std::mem::discriminant(&branch);
            if !branches.iter().any(same) && self.one_in(2) {
                let at = self.below(branches.len() + 1);
                branches.insert(at, branch);
            }
        }
        T::Union(branches)
    }

    fn record(&mut self, depth: usize) -> T {
        let name = self.name();
        let fields = (0..1 + self.below(5)).map(|_| F { name: self.name(), alias: None, t: self.any(depth), default: None }).collect();
        T::Record(name, fields)
    }

    /// What a reader may expect of what was written as `t`: mostly something that matches.
    fn changed(&mut self, t: &T) -> T {
        if self.one_in(40) {
            return self.scalar();
        }
        if self.one_in(5) && !matches!(t, T::Union(_)) {
            let changed = self.changed(t);
            return self.union(changed);
        }
        match t {
            T::Int => [T::Int, T::Long, T::Float, T::Double][self.below(4)].clone(),
            T::Long => [T::Long, T::Float, T::Double][self.below(3)].clone(),
            T::Float => [T::Float, T::Double][self.below(2)].clone(),
            T::Str | T::Bytes => [T::Str, T::Bytes][self.below(2)].clone(),
            T::Enum(name, symbols) => {
                let known = symbols.iter().rev().filter(|_| !self.one_in(6)).cloned().collect();
                T::Enum(name.clone(), known)
            }
            T::Array(items) => T::Array(Box::new(self.changed(items))),
            T::Map(values) => T::Map(Box::new(self.changed(values))),
            T::Union(branches) => {
                let mut changed: Vec<T> = Vec::new();
                for branch in branches {
                    let branch = match branch {
                        // Unions hold no two of a kind.
                        T::Record(..) | T::Array(_) | T::Enum(..) => match self.changed(branch) {
                            T::Union(_) => branch.clone(),
                            other => other,
                        },
                        _ => branch.clone(),
                    };
                    if !changed.iter().any(|c| std::mem::discriminant(c) == std::mem::discriminant(&branch)) && !self.one_in(8) {
                        changed.push(branch);
                    }
                }
                // A union of nothing has no values at all.
                if changed.is_empty() {
                    changed.push(T::Null);
                }
                match changed.len() {
                    1 if self.one_in(2) => changed.remove(0),
                    _ => T::Union(changed),
                }
            }
            T::Record(name, fields) => {
                let mut changed = Vec::new();
                for field in fields {
                    if self.one_in(6) {
                        continue;
                    }
                    let mut field = F { t: self.changed(&field.t), ..field.clone() };
                    if self.one_in(5) {
                        field.alias = Some(std::mem::replace(&mut field.name, self.name()));
                    }
                    let at = self.below(changed.len() + 1);
                    changed.insert(at, field);
                }
                if self.one_in(2) {
                    let t = self.any(2);
                    let default = if self.one_in(10) { None } else { default(&t) };
                    changed.push(F { name: self.name(), alias: None, t, default });
                }
                T::Record(name.clone(), changed)
            }
            other => other.clone(),
        }
    }

    fn value(&mut self, t: &T) -> V {
        match t {
            T::Null => V::Null,
            T::Bool => V::Bool(self.one_in(2)),
            T::Int => V::Int([0, -1, i32::MAX, i32::MIN, self.next() as i32][self.below(5)]),
            T::Long => V::Long([0, -1, i64::MAX, 1 << 53, self.next() as i64][self.below(5)]),
            T::Float => V::Float([0.0, -0.5, 3.4e38, self.below(1000) as f32 / 7.0][self.below(4)]),
            T::Double => V::Double([0.0, 12.0, 1e300, self.below(1000) as f64 / 7.0][self.below(4)]),
            T::Bytes => V::Bytes(self.text().into_bytes()),
            T::Str => V::Str(self.text()),
            T::Fixed(_, size) => V::Fixed((0..*size).map(|_| self.next() as u8).collect()),
            T::Enum(_, symbols) => V::Enum(self.below(symbols.len())),
            T::Array(items) => V::Array((0..self.below(8)).map(|_| self.value(items)).collect()),
            T::Map(values) => V::Map((0..self.below(5)).map(|n| (format!("k{n}"), self.value(values))).collect()),
            T::Record(_, fields) => V::Record(fields.iter().map(|f| self.value(&f.t)).collect()),
            T::Union(branches) => {
                let at = self.below(branches.len());
                V::Union(at, Box::new(self.value(&branches[at])))
            }
        }
    }

    fn text(&mut self) -> String {
        [
            "",
            "a",
            "AP8=",
            "Zürich",
            "2024-05-01T12:00:00Z",
            "a longer one, of more than sixty-four letters, so that its length takes two bytes",
        ][self.below(6)]
        .to_owned()
    }
}

/// Some default of a type.
fn default(t: &T) -> Option<Value> {
    Some(match t {
        T::Null => Value::Null,
        T::Bool => json!(true),
        T::Int | T::Long => json!(-7),
        T::Float | T::Double => json!(2.5),
        T::Bytes => json!("\u{ff}\u{0}"),
        T::Str => json!("Zürich"),
        T::Fixed(_, size) => json!("\u{e9}".repeat(*size)),
        T::Enum(_, symbols) => json!(symbols.first()?),
        T::Array(items) => json!([default(items)?, default(items)?]),
        T::Map(values) => json!({"k": default(values)?}),
        T::Record(_, fields) => Value::Object(fields.iter().map(|f| Some((f.name.clone(), default(&f.t)?))).collect::<Option<_>>()?),
        T::Union(branches) => default(branches.first()?)?,
    })
}

/// The reader has no place for it.
#[derive(Debug)]
struct Mismatch;

/// What fits no declared type.
fn nothing() -> Value {
    json!({})
}

/// What is asked of a value: what is at the path, for a column of this type.
#[derive(Clone, Copy)]
struct Ask<'a> {
    path: &'a [String],
    list: bool,
    scalar: Scalar,
}

impl<'a> Ask<'a> {
    fn at(self, path: &'a [String]) -> Self {
        Self { path, ..self }
    }

    fn element(self) -> Self {
        Self { list: false, ..self }
    }

    /// Text stands for bytes only where bytes are declared.
    fn bytes(self, bytes: &[u8]) -> Value {
        if self.scalar == Scalar::Binary { base64(bytes) } else { nothing() }
    }
}

/// What is asked of a value, as JSON.
fn read(v: &V, w: &T, r: &T, ask: Ask<'_>) -> Result<Value, Mismatch> {
    if let (V::Union(branch, v), T::Union(branches)) = (v, w) {
        return read(v, &branches[*branch], r, ask);
    }
    if let T::Union(branches) = r {
        let same = |t: &&T| std::mem::discriminant(*t) == std::mem::discriminant(w) && matches(w, t);
        let branch = branches.iter().find(same).or_else(|| branches.iter().find(|t| matches(w, t))).ok_or(Mismatch)?;
        return read(v, w, branch, ask);
    }
    if !matches(w, r) {
        return Err(Mismatch);
    }
    match (ask.path.split_first(), v, w, r) {
        (Some((key, rest)), V::Record(values), T::Record(_, written), T::Record(_, expected)) => {
            let field = expected.iter().find(|f| f.name == *key).expect("declared fields are in the schema");
            let place = |name: &str| written.iter().position(|f| f.name == *name);
            match place(&field.name).or_else(|| field.alias.as_deref().and_then(place)) {
                Some(at) => read(&values[at], &written[at].t, &field.t, ask.at(rest)),
                None => Ok(of_default(field.default.as_ref().ok_or(Mismatch)?, &field.t, ask.at(rest))),
            }
        }
        (_, V::Null, ..) => Ok(Value::Null),
        (Some(_), ..) => Ok(nothing()),
        (None, V::Array(values), T::Array(w), T::Array(r)) if ask.list => {
            values.iter().map(|v| read(v, w, r, ask.element())).collect::<Result<_, _>>().map(Value::Array)
        }
        (None, V::Enum(symbol), T::Enum(_, symbols), T::Enum(_, known)) => {
            if known.contains(&symbols[*symbol]) {
                Ok(json!(symbols[*symbol]))
            } else {
                Err(Mismatch)
            }
        }
        (None, V::Int(n), _, T::Float) => Ok(json!(f64::from(*n as f32))),
        (None, V::Long(n), _, T::Float) => Ok(json!(f64::from(*n as f32))),
        (None, V::Int(n), _, T::Double) => Ok(json!(f64::from(*n))),
        (None, V::Long(n), _, T::Double) => Ok(json!(*n as f64)),
        (None, V::Bool(b), ..) => Ok(json!(b)),
        (None, V::Int(n), ..) => Ok(json!(n)),
        (None, V::Long(n), ..) => Ok(json!(n)),
        (None, V::Float(n), ..) => Ok(json!(f64::from(*n))),
        (None, V::Double(n), ..) => Ok(json!(n)),
        (None, V::Str(text), _, T::Str) => Ok(json!(text)),
        (None, V::Bytes(bytes), _, T::Str) => Ok(json!(String::from_utf8(bytes.clone()).expect("all bytes are text here"))),
        (None, V::Str(text), _, T::Bytes) => Ok(ask.bytes(text.as_bytes())),
        (None, V::Bytes(bytes) | V::Fixed(bytes), ..) => Ok(ask.bytes(bytes)),
        _ => Ok(nothing()),
    }
}

fn of_default(value: &Value, t: &T, ask: Ask<'_>) -> Value {
    match (t, ask.path.split_first()) {
        // Defaults here are of the first branch.
        (T::Union(branches), _) => of_default(value, &branches[0], ask),
        (T::Null, _) => Value::Null,
        (T::Record(_, fields), Some((key, rest))) => {
            let field = fields.iter().find(|f| f.name == *key).expect("declared fields are in the schema");
            of_default(&value[key], &field.t, ask.at(rest))
        }
        (_, Some(_)) | (T::Record(..) | T::Map(_), None) => nothing(),
        (T::Array(items), None) if ask.list => {
            Value::Array(value.as_array().expect("a list").iter().map(|v| of_default(v, items, ask.element())).collect())
        }
        (T::Array(_), None) => nothing(),
        (T::Bytes | T::Fixed(..), None) => ask.bytes(&value.as_str().expect("text").chars().map(|c| c as u8).collect::<Vec<_>>()),
        _ => value.clone(),
    }
}

/// Whether two types match by themselves.
fn matches(w: &T, r: &T) -> bool {
    match (w, r) {
        (T::Int, T::Int | T::Long | T::Float | T::Double)
        | (T::Long, T::Long | T::Float | T::Double)
        | (T::Float, T::Float | T::Double)
        | (T::Str | T::Bytes, T::Str | T::Bytes) => true,
        (T::Fixed(a, m), T::Fixed(b, n)) => a == b && m == n,
        (T::Enum(a, _), T::Enum(b, _)) | (T::Record(a, _), T::Record(b, _)) => a == b,
        _ => std::mem::discriminant(w) == std::mem::discriminant(r),
    }
}

fn base64(bytes: &[u8]) -> Value {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            text.push(if at <= chunk.len() { char::from(LETTERS[bits >> (18 - 6 * at) & 63]) } else { '=' });
        }
    }
    json!(text)
}

/// Places of a reader's schema, each with a type that it may be declared to have.
fn places(random: &mut Random, t: &T, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, ColumnType)>) {
    use Scalar::{Binary, Bool, Float16, Float32, Float64, Int32, Int64, String, Timestamp};
    let one_of = |random: &mut Random, scalars: &[Scalar]| scalars[random.below(scalars.len())];
    let of = |random: &mut Random, t: &T| match t {
        T::Bool => Some(Bool),
        T::Int | T::Long | T::Float | T::Double => Some(one_of(random, &[Int32, Int64, Float16, Float32, Float64])),
        T::Str => Some(one_of(random, &[String, String, Binary, Timestamp])),
        T::Enum(..) => Some(String),
        T::Bytes | T::Fixed(..) => Some(Binary),
        _ => None,
    };
    match t {
        T::Union(branches) => branches.iter().for_each(|branch| places(random, branch, path, found)),
        T::Record(_, fields) => {
            for field in fields {
                path.push(field.name.clone());
                places(random, &field.t, path, found);
                path.pop();
            }
        }
        T::Array(items) => {
            let branches = if let T::Union(branches) = items.as_ref() { branches.clone() } else { vec![T::clone(items)] };
            if let Some(scalar) = branches.iter().find_map(|t| of(random, t)) {
                found.push((path.clone(), ColumnType::list(scalar)));
            }
        }
        t => {
            if let Some(scalar) = of(random, t) {
                found.push((path.clone(), ColumnType::scalar(scalar)));
            }
        }
    }
}

/// What became of records of one case: so many were read whole, did not fit, had no place.
#[derive(Debug, Default, Clone, Copy)]
struct Met {
    read: usize,
    misfit: usize,
    mismatch: usize,
}

fn run(seed: u64) -> Met {
    let mut random = Random(seed);
    let base = random.record(0);
    let reader = random.changed(&base);
    let T::Record(name, _) = &base else { unreachable!("a record") };
    let reader = match reader {
        T::Record(..) => reader,
        _ => base.clone(),
    };
    let writers: BTreeMap<u32, T> = (1..4)
        .map(|id| match random.changed(&base) {
            T::Record(_, fields) if id > 1 => (id, T::Record(name.clone(), fields)),
            _ => (id, base.clone()),
        })
        .collect();
    let mut found = Vec::new();
    places(&mut random, &reader, &mut Vec::new(), &mut found);
    let fields: Vec<FieldPlan> = found
        .into_iter()
        .filter(|_| !random.one_in(4))
        .enumerate()
        .map(|(at, (path, column))| FieldPlan { path, ..field(&format!("f{at}"), column) })
        .collect();
    let case = Case::new(fields.clone(), &reader.json(), &writers.iter().map(|(id, t)| (*id, t.json())).collect());
    let flat = fields.iter().map(|f| FieldPlan { path: vec![f.name.clone()], ..f.clone() }).collect();
    let flat = Decoder::new(&plan(flat)).unwrap();

    let (mut payloads, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let id = 1 + random.below(3) as u32;
        let value = random.value(&writers[&id]);
        payloads.push(framed(id, &value));
        let read = |f: &FieldPlan| {
            let ask = Ask { path: &f.path, list: f.column_type.list, scalar: f.column_type.scalar };
            read(&value, &writers[&id], &reader, ask).map(|value| (f.name.clone(), value))
        };
        expected.push(fields.iter().map(read).collect::<Result<serde_json::Map<_, _>, _>>());
    }
    let json: Vec<Vec<u8>> = expected
        .iter()
        .map(|e| e.as_ref().map_or_else(|_| b"no".to_vec(), |e| Value::Object(e.clone()).to_string().into_bytes()))
        .collect();
    let expected_batch = block_on(flat.decode_records(0, &records(&json))).unwrap();
    let raw = case.decode(&payloads);
    let broken: Vec<_> = reasons(&expected_batch)
        .into_iter()
        .map(|reason| reason.map(|(reason, field)| (if reason == Reason::Unreadable { Reason::IncompatibleSchema } else { reason }, field)))
        .collect();
    let shown = || format!("seed {seed}\nreader {}\nwriters {writers:#?}\nexpected {expected:#?}", reader.json());
    assert_eq!(reasons(&raw), broken, "{}", shown());
    for (row, (ours, theirs)) in raw.fields.columns().iter().zip(expected_batch.fields.columns()).enumerate() {
        assert_eq!(ours, theirs, "column {row}, {}", shown());
    }
    // Alone, each is what it is among the others.
    for (row, payload) in payloads.iter().enumerate() {
        let alone = case.decode(std::slice::from_ref(payload));
        assert_eq!((&alone.fields, &alone.broken[0]), (&raw.fields.slice(row, 1), &raw.broken[row]), "row {row}, {}", shown());
    }
    let mut met = Met::default();
    for reason in broken {
        match reason {
            None => met.read += 1,
            Some((Reason::WrongType, _)) => met.misfit += 1,
            Some(_) => met.mismatch += 1,
        }
    }
    met
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_are_what_the_specification_makes_of_them(seed in any::<u64>()) {
        run(seed);
    }
}

#[test]
fn the_cases_are_worth_it() {
    let met = (0..200).map(run).fold(Met::default(), |a, b| Met {
        read: a.read + b.read,
        misfit: a.misfit + b.misfit,
        mismatch: a.mismatch + b.mismatch,
    });
    assert!(met.read > 300 && met.misfit > 100 && met.mismatch > 200, "{met:?}");
}
