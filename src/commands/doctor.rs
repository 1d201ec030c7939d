//! `doctor`: what on this host would keep links from working.

use super::table;
use crate::cli::{Doctor, Format};
use crate::config::Overrides;
use crate::doctor::{self, Check, Question, Verdict, worst};
use crate::error::{Context, Kind, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Prints a line for each check; the exit status is that of the worst.
pub fn run(overrides: Overrides, arguments: &Doctor) -> Result<u8> {
    let program = std::env::current_exe().context(Kind::Internal, || "own path")?;
    let root = arguments.root.clone().unwrap_or_else(|| Path::new("/").to_path_buf());
    let checks = doctor::examine(Question { overrides, root, program });
    match if arguments.json { Format::Json } else { arguments.format } {
        Format::Table => {
            let rows: Vec<_> = checks.iter().map(row).collect();
            table::print(&["VERDICT", "SUBJECT", "DETAIL", "MEND"], &rows);
        }
        Format::Json => {
            let all: Vec<Value> = checks.iter().map(value).collect();
            let value = json!({ "verdict": worst(&checks).as_str(), "checks": all });
            let text = serde_json::to_string_pretty(&value).context(Kind::Internal, || "JSON")?;
            println!("{text}");
        }
    }
    Ok(status(worst(&checks)))
}

/// 0, 1 or 2.
fn status(verdict: Verdict) -> u8 {
    verdict as u8
}

fn row(check: &Check) -> Vec<String> {
    let mend = check.mend.clone().unwrap_or_default();
    vec![check.verdict.as_str().to_owned(), check.subject.clone(), check.detail.clone(), mend]
}

fn value(check: &Check) -> Value {
    json!({
        "subject": check.subject,
        "verdict": check.verdict.as_str(),
        "detail": check.detail,
        "mend": check.mend,
    })
}
