//! The table for people, the JSON for programs.

use crate::{plot, sample::Series};
use serde_json::{Value, json};
use std::path::Path;

/// The first row of most sections: what everything is compared to.
pub(crate) const NOTHING: &str = "program that does nothing";

/// A median so many times the least time means waiting for a processor, not working. That makes
/// what counts as 1 large and every ratio small, so nothing is judged by it.
const BUSY: f64 = 2.5;

/// What was promised of a figure, and whether it holds.
pub(crate) struct Target {
    limit: f64,
    value: f64,
    unit: String,
}

#[derive(Default)]
pub(crate) struct Report {
    /// What counts as 1 in this section, in microseconds.
    unit: f64,
    section: String,
    rows: Vec<Value>,
    missed: usize,
    unjudged: usize,
    /// Whether the machine had other things to do, in this section or an earlier one.
    busy: bool,
}

impl Target {
    /// `value` is to be no more than `limit`, which is in times of `what`.
    pub(crate) fn at_most(limit: f64, value: f64, what: &str) -> Self {
        Self { limit, value, unit: format!("×{what}") }
    }

    /// `value` is to be no more than `limit`, both in `unit`.
    pub(crate) fn of(unit: &str, limit: f64, value: f64) -> Self {
        Self { limit, value, unit: format!(" {unit}") }
    }

    fn met(&self) -> bool {
        self.value <= self.limit
    }
}

impl Report {
    /// A section of instructions.
    pub(crate) fn section_of_instructions(&mut self, title: &str) {
        title.clone_into(&mut self.section);
        println!("\n{title:<46}{:>9}{:>20}", "×", "million");
    }

    /// A section of MiB.
    pub(crate) fn section_of_memory(&mut self, title: &str) {
        title.clone_into(&mut self.section);
        println!("\n{title:<46}{:>9}{:>20}", "MiB", "target");
    }

    /// Figures from here on are times `unit`.
    pub(crate) fn section(&mut self, title: &str, what: &str, unit: &Series) {
        self.unit = unit.median();
        self.busy |= what == NOTHING && unit.median() > BUSY * unit.least();
        title.clone_into(&mut self.section);
        println!("\n{title:<46}{:>9}{:>9}{:>11}   target", "median ×", "p95 ×", "median ms");
        self.row(what, unit, None);
    }

    pub(crate) fn row(&mut self, what: &str, series: &Series, target: Option<Target>) {
        let (median, p95) = (series.median() / self.unit, series.p95() / self.unit);
        let (ms, verdict) = (series.median() / 1000.0, self.verdict(target.as_ref(), !self.busy));
        let digits = if ms < 0.1 { 5 } else { 3 };
        println!("  {what:<44}{:>9}{:>9}{ms:>11.digits$}   {verdict}", three(median), three(p95));
        self.rows.push(json!({
            "section": self.section, "what": what, "median": median, "p95": p95, "ms": ms,
            "met": target.filter(|_| !self.busy).map(|target| target.met()), "busy": self.busy,
        }));
    }

    /// Makes the last row a point of a chart's line.
    pub(crate) fn mark(&mut self, chart: &str, backend: &str, links: usize) {
        if let Some(row) = self.rows.last_mut() {
            row["chart"] = chart.into();
            row["backend"] = backend.into();
            row["links"] = links.into();
        }
    }

    /// Instructions of the processor's in user mode, and how many times those of `nothing`.
    #[allow(clippy::cast_precision_loss)] // of numbers that are printed with three digits
    pub(crate) fn instructions(&mut self, what: &str, count: u64, nothing: u64) {
        let (millions, ratio) = (count as f64 / 1e6, count as f64 / nothing as f64);
        println!("  {what:<44}{:>9}{millions:>20.3}", three(ratio));
        self.rows.push(json!({
            "section": self.section, "what": what, "instructions": count, "ratio": ratio,
        }));
    }

    /// In MiB, and so the limit.
    pub(crate) fn memory(&mut self, what: &str, mebibytes: f64, limit: Option<f64>) {
        let target = limit.map(|limit| Target { limit, value: mebibytes, unit: " MiB".into() });
        let verdict = self.verdict(target.as_ref(), true);
        println!("  {what:<44}{:>9}{:14}{verdict}", three(mebibytes), "");
        self.rows.push(json!({
            "section": self.section, "what": what, "mebibytes": mebibytes,
            "met": target.map(|target| target.met()),
        }));
    }

    /// Writes target/bench.json and target/bench.svg.
    pub(crate) fn finish(self) {
        // Built for a named target, cargo puts its folder in between.
        let above = Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors();
        let target = above.filter(|dir| dir.join("CACHEDIR.TAG").exists()).last();
        let target = target.expect("target directory");
        let path = target.join("bench.json");
        let json = format!("{:#}\n", json!(self.rows));
        std::fs::write(&path, json).expect("bench.json is written");
        std::fs::write(target.join("bench.svg"), plot::draw(&self.rows)).expect("plot is written");
        if self.busy {
            println!("\nThe machine was busy: times are not judged. Repeat on a quiet one.");
        }
        println!("\n{} targets missed, {} not judged", self.missed, self.unjudged);
        println!("figures in {}", path.display());
    }

    fn verdict(&mut self, target: Option<&Target>, judged: bool) -> String {
        let Some(target) = target else { return String::new() };
        let Target { limit, value, unit } = target;
        if !judged {
            self.unjudged += 1;
            return format!("not judged: {}, target ≤ {limit}{unit}", three(*value));
        }
        let (word, sign) = if target.met() { ("met", "≤") } else { ("MISSED", ">") };
        self.missed += usize::from(!target.met());
        format!("{word}: {} {sign} {limit}{unit}", three(*value))
    }
}

/// Three digits.
fn three(value: f64) -> String {
    let places = if value < 0.1 {
        4
    } else if value < 10.0 {
        2
    } else {
        1
    };
    format!("{value:.places$}")
}
