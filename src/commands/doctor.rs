//! `doctor`: checks this host for problems that keep links from working.

use super::output::color::{Paint, Tone};
use super::output::table::{self, Cell};
use super::say_json;
use crate::cli::{Doctor, Format};
use crate::config::Overrides;
use crate::doctor::{self, Check, Question, Verdict, worst};
use crate::error::{Context, Kind, Result};
use crate::sys::site::whose;
use crate::sys::users;
use serde_json::{Value, json};
use std::path::Path;

/// Prints the checks and returns the exit status of the worst one.
pub(crate) fn run(overrides: Overrides, arguments: &Doctor) -> Result<u8> {
    let program = std::env::current_exe().context(Kind::Internal, || "own path")?;
    let root = arguments.root.clone().unwrap_or_else(|| Path::new("/").to_path_buf());
    let home = whose().uid().and_then(|uid| users::home(&root, uid));
    let probe = arguments.probe;
    let checks = doctor::examine(Question { overrides, root, home, program, probe });
    match arguments.output.format() {
        Format::Table => {
            let rows: Vec<_> = checks.iter().map(row).collect();
            table::print(
                Paint::for_stdout(),
                None,
                &["VERDICT", "SUBJECT", "DETAIL", "FIX"],
                &rows,
            )?;
        }
        Format::Json => {
            let all: Vec<Value> = checks.iter().map(value).collect();
            say_json(&json!({ "verdict": worst(&checks).as_str(), "checks": all }))?;
        }
    }
    Ok(status(worst(&checks)))
}

/// The exit status for a verdict. Neither is an error, so no [`Kind`] has these.
fn status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Warning => 11,
        Verdict::Fault => 12,
    }
}

fn row(check: &Check) -> Vec<Cell> {
    let tone = match check.verdict {
        Verdict::Ok => Tone::Good,
        Verdict::Warning => Tone::Doubtful,
        Verdict::Fault => Tone::Bad,
    };
    let fix = check.fix.as_deref().unwrap_or_default();
    let words = [&check.subject, &check.detail, fix].map(Cell::from);
    std::iter::once(Cell::new(tone, check.verdict.as_str())).chain(words).collect()
}

fn value(check: &Check) -> Value {
    json!({
        "subject": check.subject,
        "verdict": check.verdict.as_str(),
        "detail": check.detail,
        "fix": check.fix,
    })
}
