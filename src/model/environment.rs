//! Environment variables, and the filter of those that a source passes to recipients.

use super::Invalid;
use std::fmt;

/// One environment variable, `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variable {
    /// Everything before the first `=`.
    pub key: String,
    /// Everything after the first `=`.
    pub value: String,
}

impl Variable {
    /// Creates a variable from its key and value, without a check.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }

    /// Splits an entry at the first `=`.
    ///
    /// Returns `None` without an `=`, as Docker does. It also returns `None` with a NUL, which no
    /// process environment can contain.
    pub(crate) fn parse(entry: &str) -> Option<Self> {
        let (key, value) = entry.split_once('=')?;
        (!entry.contains('\0')).then(|| Self::new(key, value))
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// The annotation `org.oci-link.env`: `all`, `none`, or a list of globs.
///
/// A glob with `!` excludes variables. `all` in a list matches every variable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EnvFilter {
    only: Vec<String>,
    never: Vec<String>,
    nothing: bool,
}

impl EnvFilter {
    /// Parses the annotation. A list of exclusions only allows all other variables.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let mut filter = Self::default();
        match value.trim() {
            "all" => return Ok(filter),
            "none" => return Ok(Self { nothing: true, ..filter }),
            "" => return Err(Invalid::new("env filter", value, "want all, none or globs")),
            _ => {}
        }
        for glob in value.split([',', ' ', '\t', '\n']).filter(|glob| !glob.is_empty()) {
            let (list, glob) = match glob.strip_prefix('!') {
                Some(rest) => (&mut filter.never, rest),
                None => (&mut filter.only, glob),
            };
            let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-*?".contains(&b);
            if glob.is_empty() || !glob.bytes().all(known) {
                return Err(Invalid::new(
                    "env filter",
                    glob,
                    "a glob may contain letters, digits, _, ., -, * and ?",
                ));
            }
            list.push(if glob == "all" { "*" } else { glob }.to_owned());
        }
        Ok(filter)
    }

    /// Whether recipients may see the variable `key`.
    pub(crate) fn allows(&self, key: &str) -> bool {
        let any =
            |globs: &[String]| globs.iter().any(|glob| matches(glob.as_bytes(), key.as_bytes()));
        !self.nothing && (self.only.is_empty() || any(&self.only)) && !any(&self.never)
    }
}

/// Matches a shell glob with `*` and `?`.
///
/// After a mismatch only the last star is tried again. The time is at most proportional to the
/// product of both lengths.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                g += 1;
                t += 1;
            }
            _ => {
                // The last star matches one more byte.
                let Some((at, from)) = star else { return false };
                (g, t) = (at, from + 1);
            }
        }
    }
    glob[g..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(filter: &str, key: &str) -> bool {
        EnvFilter::parse(filter).is_ok_and(|filter| filter.allows(key))
    }

    #[test]
    fn filters() {
        assert!(allowed("all", "MYSQL_PASSWORD"));
        assert!(!allowed("none", "A"));
        assert!(!allowed("none", "none"), "it is no glob");
        assert!(allowed("MYSQL_*,!*PASSWORD*", "MYSQL_USER"));
        assert!(!allowed("MYSQL_*,!*PASSWORD*", "MYSQL_PASSWORD"));
        assert!(!allowed("MYSQL_*,!*PASSWORD*", "PGUSER"));
        assert!(allowed("!*SECRET", "PGUSER"));
        assert!(!allowed("!*SECRET", "A_SECRET"));
        assert!(allowed("PORT?", "PORT1"));
    }

    #[test]
    fn bad_filters() {
        for bad in ["", " ", "!", "A=B", "a\u{2028}", "[ab]"] {
            assert!(EnvFilter::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("*", "", true),
            ("*a*b", "xxaxxab", true),
            ("*a*b", "xxaxxabc", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "abcd", false),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(glob.as_bytes(), text.as_bytes()), expected, "{glob} {text}");
        }
    }

    #[test]
    fn variables_are_cut_at_the_first_sign() {
        assert_eq!(Variable::parse("EQ=a=b=c"), Some(Variable::new("EQ", "a=b=c")));
        assert_eq!(Variable::parse("EMPTY="), Some(Variable::new("EMPTY", "")));
        assert_eq!(Variable::parse("NOTHING"), None);
        assert_eq!(Variable::parse("A=b\0c"), None);
    }
}
