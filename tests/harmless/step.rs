//! One command of a container's life and what came of it, in a form that does not depend on process ids,
//! times and places.

use crate::machine::Ran;
use serde_json::Value;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) status: String,
    pub(crate) stdout: String,
    /// The runtime's own messages.
    pub(crate) stderr: String,
    /// The lines that oci-link wrote. They may differ.
    pub(crate) ours: String,
}

impl Step {
    pub(crate) fn new(what: &str, status: &str, stdout: &str, stderr: &str) -> Self {
        let ours = |line: &&str| line.starts_with("oci-link:");
        let theirs: Vec<&str> = stderr.lines().filter(|line| !ours(line)).collect();
        let ours: Vec<&str> = stderr.lines().filter(ours).collect();
        Self {
            what: what.into(),
            status: status.into(),
            stdout: masked(stdout),
            stderr: masked(&theirs.join("\n")),
            ours: ours.join("\n"),
        }
    }

    pub(crate) fn of(what: &str, ran: &Ran) -> Self {
        Self::new(what, &ran.status, &ran.stdout(), &ran.stderr())
    }

    /// A `state`, without what differs from one container to the next.
    pub(crate) fn of_state(what: &str, ran: &Ran) -> Self {
        let stdout = ran.stdout();
        let steady = serde_json::from_str(&stdout).map(|mut state: Value| {
            for key in ["pid", "created"] {
                state.as_object_mut().and_then(|state| state.remove(key));
            }
            state.to_string()
        });
        Self::new(what, &ran.status, &steady.unwrap_or(stdout), &ran.stderr())
    }

    /// A `ps`: the heading and the number of processes.
    pub(crate) fn of_processes(what: &str, ran: &Ran) -> Self {
        let stdout = ran.stdout();
        let words: Vec<&str> =
            stdout.lines().next().unwrap_or_default().split_whitespace().collect();
        let lines = format!("{}, {} lines", words.join(" "), stdout.lines().count());
        Self::new(what, &ran.status, &lines, &ran.stderr())
    }
}

/// `text` with `#` in place of the machine's name, of times, and of numbers with more than one digit.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        masked.push_str(before);
        // `link123-4` is the directory and the namespace of one machine.
        let of_a_name = before.ends_with("link") || masked.ends_with("link#-");
        masked.push_str(if length > 1 || of_a_name { "#" } else { &digits[..length] });
        rest = &digits[length..];
    }
    masked + rest
}

#[test]
fn names_times_and_numbers_are_masked() {
    assert_eq!(masked("/var/lib/link4711-3/x 17 of 4"), "/var/lib/link#-#/x # of 4");
    assert_eq!(masked("time=\"2026-01-02T03:04:05Z\" x"), "time=\"#-#-#T#:#:#Z\" x");
}

#[test]
fn lines_of_oci_link_are_apart() {
    let step = Step::new("start", "1", "", "oci-link: no\nrunc did not start\n");
    assert_eq!((step.stderr.as_str(), step.ours.as_str()), ("runc did not start", "oci-link: no"));
}
