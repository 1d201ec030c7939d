//! The iptables programs: one transaction per run, and listings.

use crate::error::{Cause, Kind, Result};
use crate::firewall::failed;
use crate::model::Family;
use crate::sys::process::child::{self, Output};
use std::path::Path;

/// Directories in which distributions install iptables. `PATH` is set by the caller and not
/// trusted.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long iptables waits for its lock (seconds), and how long it may run (milliseconds).
const LOCK_WAIT: &str = "3";
const PATIENCE: u16 = 5000;

/// The name of the iptables program of a family.
pub(crate) fn program_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

/// The iptables programs of one address family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// The address family.
    pub(crate) family: Family,
    directory: &'static str,
}

impl Tool {
    /// Finds the installed programs. Fails if `iptables-restore` of this family is not installed.
    pub(crate) fn find(family: Family) -> Result<Self> {
        DIRECTORIES
            .into_iter()
            .map(|directory| Self { family, directory })
            .find(|tool| Path::new(&tool.program(tool.restore_name())).exists())
            .ok_or_else(|| {
                let missing = Self { family, directory: "" }.restore_name();
                failed(format!("{missing}: not installed (looked in {})", DIRECTORIES.join(", ")))
                    .because(Cause::NotInstalled)
            })
    }

    /// The path of the program `name`.
    pub(crate) fn program(self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// The name of the program that runs transactions.
    pub(crate) fn restore_name(self) -> &'static str {
        match self.family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        }
    }

    /// The name of the program that lists rules.
    pub(crate) fn name(self) -> &'static str {
        program_of(self.family)
    }

    /// Runs one transaction on the filter table.
    ///
    /// The inner error is the program's message if it refused the transaction. Nothing has changed
    /// then.
    pub(crate) fn restore(self, commands: &str) -> Result<std::result::Result<(), String>> {
        let input = format!("*filter\n{commands}COMMIT\n");
        let args = ["--noflush", "--wait", LOCK_WAIT];
        let output = self.run(self.restore_name(), &args, &input)?;
        Ok(if output.status.success() {
            Ok(())
        } else {
            Err(self.complaint(self.restore_name(), &output))
        })
    }

    /// Lists all chains and rules of the filter table.
    pub(crate) fn list(self) -> Result<Vec<String>> {
        let output = self.run(self.name(), &["--wait", LOCK_WAIT, "-S"], "")?;
        if output.status.success() {
            Ok(lines(&output.stdout))
        } else {
            Err(failed(self.complaint(self.name(), &output)))
        }
    }

    /// Lists the filter table of one iptables variant (`nft` or `legacy`), also if it is not in
    /// use.
    ///
    /// Returns `None` if the variant is not installed. Unlike `iptables -S`, `iptables-save` does
    /// not create a table.
    pub(crate) fn saved(self, kind: &str) -> Result<Option<Vec<String>>> {
        let name = format!("{}-{kind}-save", self.name());
        if !Path::new(&self.program(&name)).exists() {
            return Ok(None);
        }
        let output = self.run(&name, &[], "")?;
        if !output.status.success() {
            return Err(failed(format!("{}: {}", self.program(&name), output.complaint)));
        }
        let lines = lines(&output.stdout).into_iter().skip_while(|line| line != "*filter");
        Ok(Some(lines.take_while(|line| line != "COMMIT").collect()))
    }

    fn run(self, name: &str, args: &[&str], input: &str) -> Result<Output> {
        child::run(&self.program(name), args, input, PATIENCE, Kind::Firewall)
    }

    fn complaint(self, name: &str, output: &Output) -> String {
        let Output { status, complaint, .. } = output;
        format!("{}: {status}: {complaint}", self.program(name))
    }
}

/// Splits a listing into chains and rules.
///
/// iptables prints a line break within a quoted comment as it is. The text after it is not a rule.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == '\n' && !quoted {
            lines.push(std::mem::take(&mut line));
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        line.push(c);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_comment_says_on_a_line_of_its_own_is_no_rule() {
        let quoted = "-A FORWARD -m comment --comment \"a\\\"\\\\\n-N OCI-LINK\n\" -j ACCEPT";
        let text = format!("-P FORWARD ACCEPT\n{quoted}\n-N X\n");
        assert_eq!(lines(&text), ["-P FORWARD ACCEPT", quoted, "-N X"]);
        assert!(lines("").is_empty());
    }
}
