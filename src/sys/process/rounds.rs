//! Notices that the wrapper is called again by the runtime that it executes, which would never end.
//!
//! A `runtime.command` may be a script that calls the wrapper, or a copy of the wrapper. Neither the
//! environment nor the descriptors may be used as a mark, because the runtime gets those of the caller.

#![allow(unsafe_code)] // Every block has a SAFETY comment.

use nix::libc::{self, itimerval, timeval};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The mark: a timer for CPU time that never expires, in seconds. execve(2) keeps timers, and fork(2)
/// does not, so no process of a container has it. Its interval names the process and the program.
const MARK: i32 = 1 << 30;
/// How often one process may execute different programs that call the wrapper again.
const ROUNDS: i64 = 8;
/// How many ancestors are searched.
const ANCESTORS: usize = 8;
/// How many ancestors are searched for a client, which can be started by scripts of scripts.
const CALLERS: usize = 16;
/// How many words of a script's command line can precede its path: an interpreter and its options.
const INTERPRETER: usize = 4;
/// Names of real runtimes. A program of such a name that is no script does not call the wrapper.
const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];

/// Marks this process just before it executes `program`. Makes system calls only.
pub(crate) fn mark(program: &Path) {
    let rounds = rounds_before().map_or(0, |(_, rounds)| rounds) + 1;
    let value = timeval { tv_sec: MARK.into(), tv_usec: 0 };
    let interval = timeval { tv_sec: name_of(program).into(), tv_usec: rounds };
    let timer = itimerval { it_interval: interval, it_value: value };
    // SAFETY: setitimer(2) reads one initialized value and writes nothing through a null pointer.
    unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()) };
}

/// Whether `program` with these arguments is running above this call already: this process executed it
/// before, or an ancestor is running it with the same arguments.
pub(crate) fn is_called_again(program: &Path, arguments: &[OsString]) -> bool {
    is_marked(program) || (!is_real_runtime(program) && runs_above(program, arguments))
}

/// Whether `program` has called this program, so that executing it would repeat the call: this process
/// executed it before, or it is a script that an ancestor is running.
pub(crate) fn has_called_us(program: &Path) -> bool {
    let runs_it = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).take(INTERPRETER);
        words.any(|word| word == program.as_os_str().as_bytes())
    };
    is_marked(program) || (!is_elf(program) && callers().take(CALLERS).any(runs_it))
}

/// The ancestors of this process, the closest first.
fn callers() -> impl Iterator<Item = u32> {
    let above = |pid: &u32| parent(*pid).filter(|above| *above > 1);
    std::iter::successors(Some(std::os::unix::process::parent_id()), above)
}

/// Whether this process executed `program` before, or too many programs. A timer of the caller's own is
/// no mark, whatever its value.
fn is_marked(program: &Path) -> bool {
    let is_loop =
        |(name, rounds): (i64, i64)| name == i64::from(name_of(program)) || rounds >= ROUNDS;
    rounds_before().is_some_and(is_loop)
}

/// The program that this process executed last for the wrapper, and how many there were.
fn rounds_before() -> Option<(i64, i64)> {
    let zero = timeval { tv_sec: 0, tv_usec: 0 };
    let mut timer = itimerval { it_interval: zero, it_value: zero };
    // SAFETY: getitimer(2) writes one value to the given place.
    let read = unsafe { libc::getitimer(libc::ITIMER_VIRTUAL, &raw mut timer) };
    // A process loses seconds of the mark, and no program sets a timer of three decades.
    let left = i32::try_from(timer.it_value.tv_sec).unwrap_or_default();
    let is_ours = read == 0 && left > MARK - (1 << 24) && left <= MARK;
    let (name, rounds) = (timer.it_interval.tv_sec, timer.it_interval.tv_usec);
    (is_ours && name > 0 && (1..=ROUNDS).contains(&rounds)).then_some((name, rounds))
}

/// A number for `program` in this process (FNV-1a), from 1 to 2^31.
fn name_of(program: &Path) -> u32 {
    let pid = std::process::id().to_ne_bytes();
    let bytes = program.as_os_str().as_bytes().iter().chain(&pid);
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash >> 1) + 1
}

fn is_real_runtime(program: &Path) -> bool {
    let is_named =
        program.file_name().is_some_and(|name| RUNTIMES.iter().any(|known| name == *known));
    is_named && is_elf(program)
}

/// Whether a file is a compiled program, and not a script.
fn is_elf(program: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(program)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

/// Whether an ancestor's command line has the program, directly followed by these arguments. A script
/// stands behind its interpreter there.
fn runs_above(program: &Path, arguments: &[OsString]) -> bool {
    let words =
        std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    let mut wanted: Vec<u8> = Vec::new();
    for word in words {
        wanted.extend_from_slice(word.as_bytes());
        wanted.push(0);
    }
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..ANCESTORS {
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
        if line.ends_with(&wanted) {
            return true;
        }
        match parent(pid) {
            Some(above) if above > 1 => pid = above,
            _ => return false,
        }
    }
    false
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses, and may contain any character.
    let rest = &stat[stat.rfind(')')? + 1..];
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn an_ancestor_that_runs_the_program_is_found() {
        let line = fs::read(format!("/proc/{}/cmdline", std::process::id())).unwrap();
        let words: Vec<OsString> = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| std::ffi::OsStr::from_bytes(word).to_owned())
            .collect();
        // The child of this test asks about its parent, which is this test.
        let asked = Command::new("cat").arg("/proc/self/stat").output().unwrap();
        let stat = String::from_utf8(asked.stdout).unwrap();
        assert!(stat.contains(&format!(" {} ", std::process::id())));
        assert!(!runs_above(Path::new(&words[0]), &words[1..]), "this process is no ancestor");
        assert!(
            parent(std::process::id())
                .is_some_and(|pid| pid == std::os::unix::process::parent_id())
        );
        assert!(!is_marked(Path::new(&words[0])));
        assert!(
            !is_real_runtime(Path::new("/bin/sh")) && !is_real_runtime(Path::new("/none/runc"))
        );
    }

    fn set(value: i64, interval: (i64, i64)) {
        let it_value = timeval { tv_sec: value, tv_usec: 0 };
        let it_interval = timeval { tv_sec: interval.0, tv_usec: interval.1 };
        let timer = itimerval { it_interval, it_value };
        // SAFETY: setitimer(2) reads one initialized value and writes nothing through a null pointer.
        unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, std::ptr::null_mut()) };
    }

    /// Timers belong to the whole process, so this is one test.
    #[test]
    fn only_a_program_that_was_executed_before_is_a_loop() {
        let [script, other] = ["/opt/script", "/opt/other"].map(Path::new);
        // Timers that the caller set for a use of its own.
        let mark = i64::from(MARK);
        for (value, interval) in
            [(mark, (0, 0)), (mark, (3, 0)), (mark - 5, (0, 1)), (mark, (7, 9))]
        {
            set(value, interval);
            assert!(!is_marked(script), "{value} {interval:?}");
        }
        super::mark(script);
        assert!(is_marked(script) && !is_marked(other));
        super::mark(other);
        assert!(is_marked(other) && !is_marked(script));
        for _ in 2..ROUNDS {
            assert!(!is_marked(script));
            super::mark(other);
        }
        assert!(is_marked(script), "too many");
        set(0, (0, 0));
    }
}
