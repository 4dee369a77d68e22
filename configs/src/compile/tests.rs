use super::Pins;
use crate::lint::{SourceText, lint};
use crate::source::Foreign;

#[test]
fn try_it() {
    let text = include_str!("../../golden/movies.yaml");
    let linted = lint(&[SourceText { file: "movies.yaml", text }], Foreign::Report, &Pins::default());
    for i in &linted.issues {
        println!("{i}");
    }
    for (k, c) in &linted.outcome {
        println!("{k} {}", serde_json::to_string_pretty(&c.as_ref().unwrap().plan).unwrap());
    }
}
