//! What an attacker could do after taking over a hook that has read its last untrusted byte. A tracer
//! makes calls in its name, as soon as the hook has dropped its privileges.

use super::scene::{Scene, isolated, with_mounts};
use crate::cast::recipient;
use crate::support::{Host, Runtime};
use nix::errno::Errno;
use nix::libc;
use nix::sys::{
    ptrace, signal::Signal, signal::kill, wait::WaitPidFlag, wait::WaitStatus, wait::waitpid,
};
use nix::unistd::Pid;
use std::{fs, io::Write, process::Stdio};

/// Below the stack, further than the compiler keeps anything there.
const BELOW: u64 = 4096;
const READ: u64 = 0;
const CREATE: u64 = (libc::O_WRONLY | libc::O_CREAT) as u64;

/// What the kernel says to a call.
type Answer = Result<i64, Errno>;

/// The content of a register that holds `value`, for example the number of a system call.
fn register(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

/// A hook that stands before its first call after all restrictions.
struct Taken(Pid);

impl Taken {
    /// Traces `pid` to where it has landlock, and fewer capabilities.
    fn at_the_point(pid: Pid) -> Self {
        let taken = Self(pid);
        let mut fenced = false;
        loop {
            let registers = taken.step();
            let stop = ptrace::syscall_info(pid).expect("it is stopped").op;
            let done = stop == libc::PTRACE_SYSCALL_INFO_EXIT && registers.rax == 0;
            fenced |= done && registers.orig_rax == register(libc::SYS_landlock_restrict_self);
            if fenced && done && registers.orig_rax == register(libc::SYS_capset) {
                taken.step();
                return taken;
            }
        }
    }

    /// To the next entry of a call, or to its end.
    fn step(&self) -> libc::user_regs_struct {
        let mut signal = None;
        loop {
            ptrace::syscall(self.0, signal).expect("it is stopped");
            signal = match waitpid(self.0, Some(WaitPidFlag::__WALL)).expect("our child") {
                WaitStatus::PtraceSyscall(_) => break,
                WaitStatus::Stopped(_, Signal::SIGCHLD) => Some(Signal::SIGCHLD),
                WaitStatus::PtraceEvent(..) => None,
                other => panic!("it came to {other:?}"),
            };
        }
        ptrace::getregs(self.0).expect("it is stopped")
    }

    /// Makes a call in place of the one that it is about to make, which it makes again. `text` is
    /// what the argument at `at` points to.
    fn call(&self, number: i64, mut arguments: [u64; 3], at: usize, text: &str) -> Answer {
        let own = ptrace::getregs(self.0).expect("it is stopped");
        let bytes = [text.as_bytes(), &[0; 8]].concat();
        for (word, to) in bytes.chunks_exact(8).zip((own.rsp - BELOW..).step_by(8)) {
            let word = i64::from_ne_bytes(word.try_into().expect("eight bytes"));
            ptrace::write(self.0, to as ptrace::AddressType, word).expect("its stack");
        }
        arguments[at] = own.rsp - BELOW;
        let [rdi, rsi, rdx] = arguments;
        let instead = libc::user_regs_struct { orig_rax: register(number), rdi, rsi, rdx, ..own };
        ptrace::setregs(self.0, instead).expect("it is stopped");
        let answer = i64::from_ne_bytes(self.step().rax.to_ne_bytes());
        // Back before the instruction, which is two bytes long.
        let again = libc::user_regs_struct { rax: own.orig_rax, rip: own.rip - 2, ..own };
        ptrace::setregs(self.0, again).expect("it is stopped");
        self.step();
        if answer < 0 {
            Err(Errno::from_raw(answer.abs().try_into().expect("an errno")))
        } else {
            Ok(answer)
        }
    }

    fn open(&self, path: &str, flags: u64) -> Answer {
        self.call(libc::SYS_openat, [register(i64::from(libc::AT_FDCWD)), 0, flags], 1, path)
    }
}

/// It holds the lock that others wait for.
impl Drop for Taken {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

/// web's hook on a host with `backend`, and what `ask` finds that it can do; then it goes on.
fn taken_over(backend: &str, ask: impl FnOnce(&Taken)) {
    let host = Host::isolated(Runtime::Runc.turned());
    fs::write(host.path("config.toml"), format!("[firewall]\nbackend = {backend:?}\n"))
        .expect("written");
    let scene = Scene::open(&host);
    let _first = recipient(&host, "first", "db");
    let mut command = scene.command();
    let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut hook = host.spawn(command).expect("started");
    let pid = Pid::from_raw(hook.id().try_into().expect("a pid"));
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("it waits for its state");
    ptrace::interrupt(pid).expect("it waits for its state");
    waitpid(pid, Some(WaitPidFlag::__WALL)).expect("our child");
    let state = scene.state().to_string();
    hook.stdin.take().expect("piped").write_all(state.as_bytes()).expect("it reads");

    let taken = Taken::at_the_point(pid);
    ask(&taken);
    ptrace::detach(pid, None).expect("it is stopped");
    assert!(hook.wait().expect("our child").success(), "what is left to do is done");
    let hosts = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
    assert!(hosts.ends_with(&scene.block()), "{hosts}");
}

/// What no hook can do, with any backend.
fn assert_fenced(taken: &Taken) {
    let made = format!("/etc/oci-link-{}", std::process::id());
    assert_eq!(taken.open(&made, CREATE), Err(Errno::EACCES));
    assert_eq!(taken.open("/proc/sys/kernel/hostname", CREATE), Err(Errno::EACCES));
    assert_eq!(taken.call(libc::SYS_chroot, [0; 3], 0, "/"), Err(Errno::EPERM));
}

fn assert_programless(backend: &str) {
    taken_over(backend, |taken| {
        assert_fenced(taken);
        for path in ["/etc/shadow", "/proc/self/root/etc/shadow", "/usr/bin/true"] {
            assert_eq!(taken.open(path, READ), Err(Errno::EACCES), "{path}");
        }
        assert_eq!(taken.call(libc::SYS_execve, [0; 3], 0, "/usr/bin/true"), Err(Errno::EACCES));
        assert!(taken.open(&format!("/proc/{}/stat", taken.0), READ).is_ok());
    });
}

#[test]
fn i6_with_ipset_nothing_is_read_and_nothing_is_run() {
    assert_programless("ipset");
}

#[test]
fn i6_with_nftables_nothing_is_read_and_nothing_is_run() {
    assert_programless("nftables");
}

/// iptables has to be run, and to find its libraries.
#[test]
fn i6_with_iptables_nothing_is_written() {
    taken_over("iptables", |taken| {
        assert_fenced(taken);
        assert!(taken.open("/etc/passwd", READ).is_ok());
    });
}

/// A source that cannot be seen would be taken for dead. (With `hidepid=2` root sees all by its group, unless `gid=` names another.)
#[test]
fn i6_a_proc_that_hides_processes_hides_no_source() {
    let host = isolated(Runtime::Runc.turned());
    let scene = Scene::open(&host);
    let command = host.oci_link(&["--log-level", "debug", "hook", "createRuntime"]);
    scene.accepted_by(with_mounts("mount -t proc -o hidepid=ptraceable proc /proc", &[], &command));
    scene.assert_permitted();
    let log = fs::read_to_string(host.path("log")).expect("a log");
    let restricted = log.lines().find(|line| line.contains("restricted")).expect("a line");
    assert!(restricted.contains("no landlock: /proc hides processes"), "{restricted}");
    assert!(!restricted.contains("all capabilities"), "{restricted}");
}
