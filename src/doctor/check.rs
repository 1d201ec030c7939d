//! One result of `doctor`.

use std::fmt::Write;
use std::path::Path;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Nothing to do.
    Ok,
    /// Links work, but may surprise an administrator or stop working soon.
    Warning,
    /// Links do not work, or do not restrict what they should restrict.
    Fault,
}

impl Verdict {
    /// One-word verdict.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// How a problem goes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fix {
    /// A command for a shell. After it the check is good, or better than it was.
    Command(String),
    /// What to do, in words. It becomes the end of the detail.
    Advice(String),
}

impl From<String> for Fix {
    fn from(command: String) -> Self {
        Self::Command(command)
    }
}

impl From<&str> for Fix {
    fn from(command: &str) -> Self {
        Self::Command(command.to_owned())
    }
}

/// What to do about a problem that no single command solves.
pub(crate) fn advice(text: impl Into<String>) -> Fix {
    Fix::Advice(text.into())
}

/// What was checked, the result, and the fix. Every text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// What was checked.
    pub(crate) subject: String,
    /// The result.
    pub(crate) verdict: Verdict,
    /// The state that was found, or the cause of the problem. What no command solves ends with what to do.
    pub(crate) detail: String,
    /// A command to paste into a shell, if there is a problem that a command solves.
    pub(crate) fix: Option<String>,
}

impl Check {
    /// A check without a problem.
    pub(crate) fn ok(subject: &str, detail: impl AsRef<str>) -> Self {
        Self::new(subject, Verdict::Ok, detail.as_ref(), None)
    }

    /// A check with the verdict [`Verdict::Warning`].
    pub(crate) fn warning(subject: &str, cause: impl AsRef<str>, fix: impl Into<Fix>) -> Self {
        Self::new(subject, Verdict::Warning, cause.as_ref(), Some(fix.into()))
    }

    /// A check with the verdict [`Verdict::Fault`].
    pub(crate) fn fault(subject: &str, cause: impl AsRef<str>, fix: impl Into<Fix>) -> Self {
        Self::new(subject, Verdict::Fault, cause.as_ref(), Some(fix.into()))
    }

    /// A check with a problem: a fault if `grave`, else a warning.
    pub(crate) fn trouble(grave: bool, subject: &str, cause: &str, fix: impl Into<Fix>) -> Self {
        if grave { Self::fault(subject, cause, fix) } else { Self::warning(subject, cause, fix) }
    }

    fn new(subject: &str, verdict: Verdict, detail: &str, fix: Option<Fix>) -> Self {
        let subject = one_line(subject);
        let (detail, fix) = match fix {
            None => (one_line(detail), None),
            Some(Fix::Command(command)) => (one_line(detail), Some(one_line(&command))),
            Some(Fix::Advice(text)) => (one_line(&format!("{detail}; {text}")), None),
        };
        Self { subject, verdict, detail, fix }
    }
}

/// The worst verdict of `checks`; `Ok` if there are none.
pub(crate) fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
}

/// Escapes control characters: rules, paths and error texts come from other programs, and a terminal
/// must not interpret them. Quotes stay, because commands are copied from the output.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => line.push(c),
            _ => {
                let _ = write!(line, "{}", c.escape_debug());
            }
        }
    }
    line
}

/// Quotes a path as one word for a shell.
pub(crate) fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_line_and_can_be_pasted() {
        let check = Check::fault("a\u{1b}[31m", "b\nc \u{202e}", "echo \"it's\" \\n");
        assert_eq!(
            (check.subject.as_str(), check.detail.as_str()),
            ("a\\u{1b}[31m", "b\\nc \\u{202e}")
        );
        assert_eq!(check.fix.as_deref(), Some("echo \"it's\" \\n"));
        let check = Check::warning("a", "too old", advice("install a newer one"));
        assert_eq!((check.detail.as_str(), check.fix), ("too old; install a newer one", None));
        assert_eq!(word(Path::new("/run/oci-link")), "/run/oci-link");
        assert_eq!(word(Path::new("/a b;'c")), r"'/a b;'\''c'");
    }

    #[test]
    fn the_worst_counts() {
        let all = [Check::ok("", ""), Check::fault("", "", ""), Check::warning("", "", "")];
        assert_eq!(worst(&all), Verdict::Fault);
        assert_eq!(worst(&all[..1]), Verdict::Ok);
        assert_eq!(worst(&[]), Verdict::Ok);
    }
}
