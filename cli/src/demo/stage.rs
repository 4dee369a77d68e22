//! What the demo says: numbered steps, figures, and claims that hold or do not.

use tress_engine::clock::Stopwatch;

use crate::exit::Outcome;
use crate::output;
use crate::render::Style;

/// Counts steps and claims.
#[derive(Debug)]
pub struct Stage {
    style: Style,
    number: usize,
    began: Stopwatch,
    held: usize,
    broken: Vec<String>,
}

impl Stage {
    pub fn new() -> Self {
        Self { style: Style::stdout(), number: 0, began: Stopwatch::start(), held: 0, broken: Vec::new() }
    }

    /// Begins a step.
    pub fn step(&mut self, title: &str) -> anyhow::Result<()> {
        self.number += 1;
        output::print(&format!("\n{} {}\n", self.style.cyan(&format!("{:>2}", self.number)), self.style.bold(title)))
    }

    /// Text below a step.
    pub fn say(&self, text: &str) -> anyhow::Result<()> {
        let indented: String = text.trim_end().lines().map(|line| format!("   {line}\n")).collect();
        output::print(&indented)
    }

    /// A claim that was computed.
    pub fn claim(&mut self, holds: bool, claim: &str) -> anyhow::Result<()> {
        if holds {
            self.held += 1;
            return self.say(&format!("{} {claim}", self.style.green("✓")));
        }
        self.broken.push(format!("step {}: {claim}", self.number));
        self.say(&format!("{} {claim}", self.style.red("✗ does not hold:")))
    }

    /// How it went.
    pub fn finish(&self) -> anyhow::Result<Outcome> {
        let seconds = self.began.elapsed().as_secs_f64();
        output::print(&format!("\n{} claims hold, {} do not; {seconds:.0} s\n", self.held, self.broken.len()))?;
        for claim in &self.broken {
            output::print(&format!("{} {claim}\n", self.style.red("✗")))?;
        }
        Ok(if self.broken.is_empty() { Outcome::Done } else { Outcome::Failed })
    }

    /// What to try next.
    pub fn next(&mut self) -> anyhow::Result<()> {
        self.step("What to try next")?;
        self.say(
            "\
KEEP=1 make demo                              the same, and the server stays
tress init signal --from YOUR.jsonl --dir my  your own events, from a sample
tress dev my --input YOUR=YOUR.jsonl          run them; edit a definition and watch it being swapped
tress --help",
        )
    }
}
