//! Terminals: the container's own, handed to an engine or connected to the caller's.

#![allow(unsafe_code)] // The block says why.

use super::both;
use super::foreground::run;
use crate::support::{Bundle, Host, Runtime, each_runtime, wait};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;
use nix::{fcntl::OFlag, libc};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Tells of its terminal, again for each line it reads, then says back 256 bytes.
const TALKER: &str = "tty; busybox stty -echo; \
    while busybox stty size; read line; [ \"$line\" != bytes ]; do :; done; \
    busybox stty raw; echo ready; busybox dd bs=1 count=256 2>/dev/null; exit 5";
const PATIENCE: Duration = Duration::from_secs(10);

/// The master's end of a terminal, and what it has heard.
struct Terminal {
    master: File,
    heard: Vec<u8>,
}

impl Terminal {
    /// One of the test's own, and `command` started on it.
    fn start(host: &Host, command: &mut Command) -> (Self, Child) {
        // Not openpty(3): children of other tests would inherit what it makes.
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal");
        let path = ptsname_r(&master).expect("a terminal");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let slave = options.open(path).expect("a terminal");
        // One that adds nothing: what the container's own makes of it is to be seen.
        let mut modes = tcgetattr(&slave).expect("a terminal");
        modes.output_flags = OutputFlags::empty();
        tcsetattr(&slave, SetArg::TCSANOW, &modes).expect("a terminal");
        resize(&slave, 33, 77);
        let share = || slave.try_clone().expect("a descriptor");
        command.stdin(share()).stdout(share()).stderr(share());
        let child = host.spawn(command).expect("the runtime starts");
        // Else the test itself would keep the terminal from ending.
        command.stdin(File::open("/dev/null").expect("nothing"));
        command.stdout(File::create("/dev/null").expect("nothing"));
        command.stderr(File::create("/dev/null").expect("nothing"));
        (Self { master: OwnedFd::from(master).into(), heard: Vec::new() }, child)
    }

    /// The one that a runtime hands over at `listener`.
    fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().expect("the runtime calls");
        let (mut name, mut space) = ([0; 64], nix::cmsg_space!(OwnedFd));
        let mut parts = [IoSliceMut::new(&mut name)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        );
        let message = message.expect("a message");
        let rights = message.cmsgs().expect("room").find_map(|part| match part {
            ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
            _ => None,
        });
        // SAFETY: the kernel has just made it for this process, and no other code knows it.
        let master = unsafe { File::from_raw_fd(rights.expect("a descriptor")) };
        Self { master, heard: Vec::new() }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).expect("the terminal is open");
    }

    /// Listens for so long; whether there was something to hear.
    fn listen(&mut self, timeout: u16) -> bool {
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::from(timeout)).expect("poll");
        let mut buffer = [0; 4096];
        // At its end a terminal answers with an error.
        let any = ready[0].any().unwrap_or_default();
        let length = if any { self.master.read(&mut buffer).unwrap_or(0) } else { 0 };
        self.heard.extend_from_slice(&buffer[..length]);
        length > 0
    }

    /// Listens until `line` has been said, with a `nudge` whenever nothing is. How the line ends
    /// depends on when the runtime changes the terminal's modes.
    #[track_caller]
    fn hear(&mut self, line: &str, nudge: &dyn Fn(&mut Self)) {
        let deadline = Instant::now() + PATIENCE;
        while !text(&self.heard).lines().any(|heard| heard == line) {
            assert!(Instant::now() < deadline, "{line} is not in {:?}", text(&self.heard));
            if !self.listen(50) {
                nudge(self);
            }
        }
    }

    /// The whole conversation with `TALKER`. `told` tells the runtime that the size is another; one
    /// that cannot be told does not follow it.
    #[track_caller]
    fn talk(&mut self, told: Option<&dyn Fn()>) {
        self.hear("/dev/pts/0", &|_| ());
        // Asked again: runc sets the size when the program runs already.
        let ask = |terminal: &mut Self| {
            told.inspect(|told| told());
            terminal.say(b"\n");
        };
        self.hear("33 77", &ask);
        if told.is_some() {
            resize(&self.master, 44, 99);
            self.hear("44 99", &ask);
        }
        self.say(b"bytes\n");
        self.hear("ready", &|_| ());
        let before = self.heard.len();
        let bytes: Vec<u8> = (0..=255).collect();
        self.say(&bytes);
        while self.listen(1000) && self.heard.len() < before + bytes.len() {}
        assert_eq!(self.heard[before..], bytes);
    }
}

fn resize(terminal: &File, rows: u16, columns: u16) {
    let terminal = terminal.try_clone().expect("a descriptor");
    let size = [rows, columns].map(|number| number.to_string());
    let mut stty = Command::new("stty");
    let status = stty.args(["rows", &size[0], "cols", &size[1]]).stdin(terminal).status();
    assert!(status.is_ok_and(|status| status.success()));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A container with terminals of its own.
fn with_terminals(host: &Host) -> Bundle<'_> {
    host.container("c").edit(|config| {
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.push(json!({
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
        }));
    })
}

fn talker(host: &Host) -> Bundle<'_> {
    with_terminals(host).script(TALKER).edit(|config| {
        config["process"]["terminal"] = true.into();
        config["process"]["consoleSize"] = json!({ "height": 33, "width": 77 });
    })
}

/// Has the conversation with what `command` runs on a terminal of the caller's.
fn converse(host: &Host, runtime: Runtime, mut command: Command) {
    let (mut terminal, mut child) = Terminal::start(host, &mut command);
    let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
    // The terminal is not the controlling one of anybody: its news have to be brought.
    let told = || kill(pid, Signal::SIGWINCH).expect("it runs");
    // crun 1.8 does not follow.
    terminal.talk((runtime == Runtime::Runc).then_some(&told));
    let status = wait(&mut child, &command);
    assert_eq!(status.code(), Some(5), "{:?}", text(&terminal.heard));
}

each_runtime! {
    fn run_on_the_callers_terminal(runtime) {
        for host in both(runtime) {
            let c = talker(&host).build();
            converse(&host, runtime, run(&host, &c, "c"));
        }
    }

    fn exec_on_the_callers_terminal(runtime) {
        for host in both(runtime) {
            let c = with_terminals(&host).build();
            c.run().ok();
            let mut exec = host.runtime(&["exec", "-t", "c", "sh", "-c", TALKER]);
            exec.env("TERM", "linux");
            converse(&host, runtime, exec);
        }
    }

    /// As engines do it.
    fn a_terminal_handed_over_at_creation(runtime) {
        for host in both(runtime) {
            let socket = host.path("console");
            let listener = UnixListener::bind(&socket).expect("a socket");
            let c = talker(&host).build();
            let mut create = host.runtime(&["create", "--console-socket"]);
            create.arg(&socket).arg("--bundle").arg(c.bundle()).arg("c");
            host.run(&mut create).ok();
            let mut terminal = Terminal::accept(&listener);
            resize(&terminal.master, 33, 77);
            c.start().ok();
            terminal.talk(Some(&|| ()));
        }
    }
}
