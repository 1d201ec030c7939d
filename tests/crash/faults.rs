//! Calls of the hook and of its children that the kernel refuses: a full disk, a broken or read-only
//! one, no memory, no descriptors, a signal at a bad moment, half of what was wanted. The hook succeeds or says in one line
//! why it does not; no hosts file is half of what it was, no rule is without a record, and one `gc`
//! leaves nothing.

use crate::{
    actor::TAIL,
    attempts::{all, each_backend},
    scene::{BACKENDS, Scene, Stage, host},
    tracer::{Blow, Point, register},
};
use nix::{
    errno::Errno::{
        self, EAGAIN, EINTR, EIO, EMFILE, ENOBUFS, ENOLCK, ENOMEM, ENOSPC, EPERM, EROFS,
    },
    libc::{self, c_long},
    sys::wait::WaitStatus,
};
use std::fs;

/// The errors that each call may return without a mistake of ours.
const FAULTS: [(c_long, &[Errno]); 46] = [
    (libc::SYS_openat, &[EMFILE, ENOMEM, EIO, EROFS, ENOSPC, EINTR]),
    (libc::SYS_openat2, &[EMFILE, ENOMEM, EIO, EINTR, EAGAIN]),
    (libc::SYS_read, &[EIO, EINTR]),
    (libc::SYS_pread64, &[EIO, EINTR]),
    (libc::SYS_readlink, &[EIO, ENOMEM]),
    (libc::SYS_readlinkat, &[EIO, ENOMEM]),
    (libc::SYS_getdents64, &[EIO]),
    (libc::SYS_write, &[ENOSPC, EIO, EINTR]),
    (libc::SYS_pwrite64, &[ENOSPC, EIO, EINTR]),
    (libc::SYS_ftruncate, &[EIO, EINTR]),
    (libc::SYS_lseek, &[EIO]),
    (libc::SYS_mkdirat, &[ENOSPC, EROFS, EIO]),
    (libc::SYS_symlinkat, &[ENOSPC, EROFS, EIO]),
    (libc::SYS_renameat, &[ENOSPC, EROFS, EIO]),
    (libc::SYS_unlinkat, &[EROFS, EIO]),
    (libc::SYS_fchmod, &[EROFS, EIO]),
    (libc::SYS_fchown, &[EROFS, EIO]),
    (libc::SYS_flistxattr, &[EIO, ENOMEM]),
    (libc::SYS_fgetxattr, &[EIO, ENOMEM]),
    (libc::SYS_fsetxattr, &[EIO, ENOSPC]),
    (libc::SYS_fstat, &[EIO, ENOMEM]),
    (libc::SYS_stat, &[EIO, ENOMEM]),
    (libc::SYS_newfstatat, &[EIO, ENOMEM]),
    (libc::SYS_statx, &[EIO, ENOMEM]),
    (libc::SYS_fstatfs, &[EIO]),
    (libc::SYS_fcntl, &[EINTR, EMFILE, ENOLCK]),
    (libc::SYS_flock, &[EINTR, ENOLCK]),
    (libc::SYS_close, &[EIO, EINTR]),
    (libc::SYS_poll, &[EINTR, ENOMEM]),
    (libc::SYS_pidfd_open, &[EMFILE, ENOMEM]),
    (libc::SYS_setns, &[ENOMEM, EPERM]),
    (libc::SYS_socket, &[EMFILE, ENOMEM, ENOBUFS]),
    (libc::SYS_bind, &[ENOMEM]),
    (libc::SYS_connect, &[ENOMEM, EINTR]),
    (libc::SYS_setsockopt, &[ENOMEM]),
    (libc::SYS_sendto, &[ENOBUFS, ENOMEM, EINTR]),
    (libc::SYS_sendmsg, &[ENOBUFS, ENOMEM, EINTR]),
    (libc::SYS_recvfrom, &[ENOBUFS, ENOMEM, EINTR]),
    (libc::SYS_recvmsg, &[ENOBUFS, ENOMEM, EINTR]),
    (libc::SYS_memfd_create, &[EMFILE, ENOMEM]),
    (libc::SYS_pipe2, &[EMFILE]),
    (libc::SYS_clone, &[EAGAIN, ENOMEM]),
    (libc::SYS_vfork, &[EAGAIN, ENOMEM]),
    (libc::SYS_execve, &[ENOMEM, EIO]),
    (libc::SYS_wait4, &[EINTR]),
    (libc::SYS_mmap, &[ENOMEM]),
];

/// What need not be done at once. A datagram goes whole or not at all, so the last is a kernel that
/// breaks its word: to be survived.
const IN_PART: [c_long; 5] =
    [libc::SYS_read, libc::SYS_pread64, libc::SYS_write, libc::SYS_pwrite64, libc::SYS_sendto];

/// Where, and what comes of the call.
type Fault = (Point, Blow);

fn points(backend: &'static str, stage: Stage) -> Vec<Fault> {
    let host = host(backend);
    let scene = Scene::new(&host, backend, stage);
    scene.prepare();
    let (traced, _) = scene.attempt(None);
    let mut points = Vec::new();
    for (process, calls) in traced.calls.iter().enumerate() {
        // Before its first own call a program is being loaded, and its loader complains.
        let own = |number: &u64| *number == register(libc::SYS_close_range);
        let begin = calls.iter().position(own).unwrap_or(0);
        for (call, number) in calls.iter().enumerate().skip(begin) {
            let (point, number) = (Point { process, call }, *number);
            if IN_PART.iter().any(|name| register(*name) == number) {
                points.push((point, Blow::Short { number }));
            }
            let found = FAULTS.iter().find(|(name, _)| register(*name) == number);
            let Some((_, errnos)) = found else { continue };
            // To a child's program any trouble is much the same.
            let errnos = match process {
                0 => errnos,
                _ => std::slice::from_ref(&errnos[call % errnos.len()]),
            };
            points.extend(errnos.iter().map(|errno| (point, Blow::Fail { number, errno: *errno })));
        }
    }
    points
}

fn attempt(scene: &Scene, fault: &Fault) {
    scene.prepare();
    let (traced, complaint) = scene.attempt(Some(*fault));
    let status = judged(traced.status, &complaint);
    // The rest is written by another call. What a child does of it is not in our hands.
    if let (Point { process: 0, .. }, Blow::Short { number }) = fault {
        if *number != register(libc::SYS_sendto) {
            assert_eq!(status, 0, "{complaint}");
        }
    }
    hosts_are_whole(scene, &complaint);
    let told = scene.call("gc --dry-run").said();
    assert!(
        !told.contains("oci-link: ") && !told.contains("orphaned rules"),
        "{complaint}\n{told}"
    );
    // An end never fails: what it could not remove is in the log.
    let log = fs::read_to_string(scene.host.path("log")).expect("a log");
    let removed = !log.contains("its links could not be removed; run oci-link gc");
    assert!(scene.stage != Stage::Stop || status == 0, "an end failed: {complaint}");
    // What a neighbour lacks is left for sync; what it has too much is not.
    let next = if status == 0 && removed { "sync" } else { "gc" };
    if scene.stage != Stage::Stop {
        if status == 0 {
            scene.call(next).ok();
            scene.must_be(&scene.linked, "sync after a start");
        }
        scene.web.end();
    } else if removed {
        assert_eq!(scene.look().rules, scene.over().rules, "an end that succeeds");
    }
    scene.call(next).ok();
    scene.must_be(&scene.over(), &format!("{next} after {complaint:?}"));
    scene.reset();
}

/// The exit status, which is a documented one, of a hook that said one line if it failed, and none
/// if it did not.
fn judged(status: WaitStatus, complaint: &str) -> i32 {
    let WaitStatus::Exited(_, code) = status else { panic!("{status:?}: {complaint}") };
    assert!((0..=9).contains(&code), "status {code}: {complaint}");
    // Without a log file and without syslog, standard error is the log, which begins with the reason.
    let is_of_log = |line: &&str| {
        line.starts_with("oci-link: log file ") && line.ends_with(": logged to syslog instead")
    };
    let (of_log, others): (Vec<_>, Vec<_>) = complaint.lines().partition(is_of_log);
    assert!(of_log.len() <= 1, "status {code}: {complaint:?}");
    assert_eq!(others.len(), usize::from(code != 0), "status {code}: {complaint:?}");
    assert!(code == 0 || complaint.starts_with("oci-link: "), "{complaint}");
    code
}

fn hosts_are_whole(scene: &Scene, complaint: &str) {
    let mut linked = scene.linked.clone();
    if scene.stage == Stage::Stop {
        linked.files.get_mut("web hosts").expect("it has one").push_str(TAIL);
    }
    let (over, found) = (scene.over(), scene.look());
    for (file, text) in &found.files {
        let may_be = [&over, &linked].map(|snapshot| snapshot.files.get(file));
        assert!(may_be.contains(&Some(text)), "after {complaint:?}: {file}: {text:?}");
    }
}

/// How many points of a backend are tried in a sample.
const SAMPLE: usize = 8;
const STAGES: [Stage; 3] = [Stage::Start, Stage::First, Stage::Stop];

/// Some of the calls that may say one of `errnos`.
fn sample(number: usize, errnos: &[Errno]) {
    let says = |blow: &Blow| matches!(blow, Blow::Fail { errno, .. } if errnos.contains(errno));
    sample_of(number, says);
}

/// Some of the faults that are `wanted`: on each backend, and in turn at each stage.
fn sample_of(number: usize, wanted: impl Fn(&Blow) -> bool) {
    for (place, backend) in BACKENDS.into_iter().enumerate() {
        sample_at(backend, STAGES[(number + place) % STAGES.len()], number, &wanted);
    }
}

fn sample_at(backend: &'static str, stage: Stage, number: usize, wanted: impl Fn(&Blow) -> bool) {
    let mut points = points(backend, stage);
    points.retain(|(_, blow)| wanted(blow));
    assert!(!points.is_empty(), "{backend}, {stage:?}: no such call is made");
    let step = points.len().div_ceil(SAMPLE);
    let some: Vec<_> = points.into_iter().skip(number % step).step_by(step).collect();
    all(backend, stage, "refused", &some, 1, attempt);
}

fn everything(backend: &'static str, stage: Stage) {
    all(backend, stage, "refused", &points(backend, stage), 2, attempt);
}

#[test]
fn f02_no_space_is_left() {
    sample(2, &[ENOSPC]);
}

#[test]
fn f03_the_disk_is_broken() {
    sample(3, &[EIO]);
}

#[test]
fn f04_nothing_may_be_written() {
    sample(4, &[EROFS, EPERM]);
}

#[test]
fn f05_there_are_too_many_of_something() {
    sample(5, &[EMFILE, EAGAIN, ENOLCK]);
}

#[test]
fn f06_there_is_no_memory() {
    sample(6, &[ENOMEM, ENOBUFS]);
}

/// The allocator asks for much at once, whose refusal must not abort.
#[test]
fn f06_there_is_no_memory_to_map() {
    let maps = register(libc::SYS_mmap);
    let is_map = |blow: &Blow| matches!(blow, Blow::Fail { number, .. } if *number == maps);
    // What no program helps with needs no more than the first piece of memory.
    for (backend, stage) in [("iptables", Stage::Start), ("ipset", Stage::First)] {
        sample_at(backend, stage, 6, is_map);
    }
}

#[test]
fn f07_a_signal_comes_at_a_bad_moment() {
    sample(7, &[EINTR]);
}

#[test]
fn f07_only_a_part_is_written() {
    sample_of(8, |blow| matches!(blow, Blow::Short { .. }));
}

each_backend! {
    f02_to_f07_every_call_of_a_start => Stage::Start,
    f02_to_f07_every_call_of_a_first_start => Stage::First,
    f02_to_f07_every_call_of_an_end => Stage::Stop,
}
