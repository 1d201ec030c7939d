//! The iptables programs: one transaction per run, and listings.

use super::allowance;
use crate::error::{Cause, Error, Kind, Result};
use crate::firewall::failed;
use crate::model::Family;
use crate::sys::process::child::{self, Output};
use std::path::Path;
use std::time::Instant;

/// Directories in which distributions install iptables. `PATH` is set by the caller and not
/// trusted.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long iptables waits for its lock, in seconds.
const LOCK_WAIT: &str = "3";

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
    pub(crate) fn restore(self, commands: &str) -> Result<Result<()>> {
        let input = format!("*filter\n{commands}COMMIT\n");
        let args = ["--noflush", "--wait", LOCK_WAIT];
        let output = self.run(self.restore_name(), &args, &input)?;
        Ok(if output.status.success() {
            Ok(())
        } else {
            Err(self.refusal(self.restore_name(), &output))
        })
    }

    /// Lists all chains and rules of the filter table.
    pub(crate) fn list(self) -> Result<Vec<String>> {
        let output = self.run(self.name(), &["--wait", LOCK_WAIT, "-S"], "")?;
        if output.status.success() {
            Ok(lines(&output.stdout))
        } else {
            Err(self.refusal(self.name(), &output))
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
        let program = self.program(name);
        let patience = allowance::patience(&program)?;
        let begun = Instant::now();
        let output = child::run(&program, args, input, patience, Kind::Firewall);
        allowance::count(begun.elapsed(), output.is_ok());
        output
    }

    /// The error of the program `name`, which failed. Its cause says whether the kernel or the
    /// installation lacks something.
    fn refusal(self, name: &str, output: &Output) -> Error {
        let Output { status, complaint, .. } = output;
        let error = failed(format!("{}: {status}: {complaint}", self.program(name)));
        if status.code().is_some_and(|code| is_lack(code, complaint)) {
            error.because(Cause::NotSupported)
        } else {
            error
        }
    }
}

/// Whether iptables says with this exit status that the kernel has no such table or match, or that
/// the program's own file for it is not installed.
///
/// Status 4 is a lock that another process holds, or a lack of memory.
fn is_lack(status: i32, complaint: &str) -> bool {
    const LACKS: [&str; 7] = [
        // A match or target: iptables-nft, and iptables-legacy since 1.8.8.
        "missing kernel module?",
        // A match or target, by older ones.
        "Couldn't load match",
        "Couldn't load target",
        // The filter table, by iptables-legacy.
        "do you need to insmod?",
        // nf_tables, by iptables-nft.
        "Could not fetch rule set generation id: Invalid argument",
        "Failed to initialize nft: Protocol not supported",
        "Failed to initialize nft: Operation not supported",
    ];
    status != 4 && LACKS.iter().any(|lack| complaint.contains(lack))
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

    #[test]
    fn only_what_the_host_lacks_is_a_lack() {
        for (status, complaint) in [
            (1, "Warning: Extension set revision 0 not supported, missing kernel module?"),
            (
                2,
                "iptables-restore v1.8.4 (legacy): Couldn't load match `set':No such file or directory",
            ),
            (
                3,
                "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table \
                 'filter': Table does not exist (do you need to insmod?)",
            ),
            (
                1,
                "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument",
            ),
        ] {
            assert!(is_lack(status, complaint), "{complaint}");
        }
        for (status, complaint) in [
            (4, "Another app is currently holding the xtables lock; still 3s 0us time ahead"),
            (4, "Warning: Extension set revision 0 not supported, missing kernel module?"),
            (1, "iptables: Memory allocation problem."),
            (
                4,
                "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied",
            ),
            (1, "iptables-restore: line 3 failed"),
            (1, ""),
        ] {
            assert!(!is_lack(status, complaint), "{complaint}");
        }
    }
}
