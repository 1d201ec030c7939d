//! Docker's version, and what docker of that version does for links.

use crate::error::Kind;
use crate::sys::process::child;
use crate::sys::process::exec::{DIRECTORIES, below};
use std::fmt;
use std::path::Path;

/// Timeout of `dockerd --version`, in milliseconds. It reads no configuration and calls no daemon.
const PATIENCE: u16 = 5000;
/// The first version that makes no variables of links.
const WITHOUT_VARIABLES: u32 = 29;

/// A version of docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    major: u32,
    text: String,
}

impl Version {
    /// Asks the `dockerd` that is installed on the host whose root directory is `root`. `None` if it is not
    /// installed or prints no version.
    pub(crate) fn installed(root: &Path) -> Option<Self> {
        let places = DIRECTORIES.iter().map(|directory| below(root, Path::new(directory)));
        let program = places.map(|place| place.join("dockerd")).find(|path| path.is_file())?;
        let output = child::run(program.to_str()?, &["--version"], "", PATIENCE, Kind::Input);
        Self::parse(&output.ok()?.stdout)
    }

    /// Parses `Docker version 28.5.2, build ecc6942`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().skip_while(|word| *word != "version").skip(1);
        let text = words.next()?.trim_end_matches(',');
        let major = text.split('.').next()?.parse().ok()?;
        Some(Self { major, text: text.escape_debug().to_string() })
    }

    /// Whether docker itself gives containers the variables of their links.
    pub(crate) fn has_variables(&self) -> bool {
        self.major < WITHOUT_VARIABLES
    }

    /// What docker does for links itself, in one line.
    pub(crate) fn meaning(&self) -> String {
        if self.has_variables() {
            format!("docker {self} makes the variables of its links itself; docker 29 makes none")
        } else {
            format!(
                "docker {self} makes no variables of links: only containers whose runtime is \
                 oci-link have them"
            )
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, shown, has_variables) in [
            ("Docker version 20.10.24+dfsg1, build 297e128", "20.10.24+dfsg1", true),
            ("Docker version 28.5.2, build ecc6942\n", "28.5.2", true),
            ("Docker version 29.0.0-rc.1, build 1", "29.0.0-rc.1", false),
            ("Docker version 30.1", "30.1", false),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!(
                (version.to_string().as_str(), version.has_variables()),
                (shown, has_variables)
            );
        }
        for text in ["", "Docker", "Docker version", "Docker version dev, build x"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
