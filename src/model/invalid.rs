//! The error for a value from outside that was refused.

use std::fmt;

/// Length limit of the part of a refused value that a message repeats, in characters.
const SHOWN: usize = 80;

/// A refused value, with the expected type and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    what: &'static str,
    value: String,
    why: &'static str,
}

impl Invalid {
    /// `what` is the expected type, `value` the refused value, and `why` the reason.
    pub(crate) fn new(what: &'static str, value: &str, why: &'static str) -> Self {
        Self { what, value: value.chars().take(SHOWN + 1).collect(), why }
    }

    /// The expected type.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }
}

impl fmt::Display for Invalid {
    /// Writes one line for any value.
    ///
    /// Control characters, newlines and bidirectional marks are escaped. No value can control a
    /// terminal or forge a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: String = self.value.chars().take(SHOWN).collect();
        if shown.len() < self.value.len() {
            shown.push('…');
        }
        write!(f, "{} \"{}\": {}", self.what, escape(&shown), self.why)
    }
}

impl std::error::Error for Invalid {}

/// Escapes everything except printable ASCII and the ellipsis of a truncated value.
pub(super) fn escape(value: &str) -> String {
    value
        .chars()
        .map(|c| match c {
            ' '..='~' if c != '"' && c != '\\' => c.to_string(),
            '…' => c.to_string(),
            _ => c.escape_default().to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_harmless_line() {
        let shown = Invalid::new("alias", "a\n\u{1b}[2J\u{202e}b", "has a newline").to_string();
        assert_eq!(shown, r#"alias "a\n\u{1b}[2J\u{202e}b": has a newline"#);
        let quoted = Invalid::new("alias", r#"a" 'b\"#, "is none").to_string();
        assert_eq!(quoted, r#"alias "a\" 'b\\": is none"#, "where the value ends is seen");
    }

    #[test]
    fn a_long_value_is_cut() {
        let shown = Invalid::new("name", &"x".repeat(1 << 20), "is too long").to_string();
        assert!(shown.len() < 120, "{shown}");
        assert!(shown.contains("x…\""), "{shown}");
    }
}
