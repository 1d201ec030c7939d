//! A hook that gives up its privileges before it acts. Each test uses a thread of its own, because
//! a restriction cannot be undone.

use super::{db, web};
use crate::lifecycle::fakes::{Listener, Scene};
use crate::lifecycle::privileges::AfterHook::Exit;
use crate::lifecycle::stop;
use crate::model::Missing;
use std::fs;
use std::sync::mpsc;
use std::thread;

/// Runs `act` in a thread of its own and removes the scene afterwards in this one.
fn confined(act: impl FnOnce(&Scene) + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let acting = thread::spawn(move || {
        let scene = Scene::new();
        tell.send(scene.directory().to_owned()).unwrap();
        act(&scene);
    });
    let outcome = acting.join();
    let _ = fs::remove_dir_all(told.recv().unwrap());
    outcome.unwrap();
}

fn gains_no_privileges() -> bool {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    status.contains("NoNewPrivs:\t1\n")
}

#[test]
fn a_start_and_an_end_succeed_without_privileges() {
    confined(|scene| {
        scene.start_with(&web(), Missing::Defer, Exit).unwrap();
        assert!(gains_no_privileges());
        assert_eq!(scene.store.record("web").unwrap().hosts.unwrap().blocks().count(), 1);
    });
    confined(|scene| {
        scene.start(&db()).unwrap();
        scene.start(&web()).unwrap();
        scene.end_process("db");
        stop(&scene.host, &db().id, Exit).unwrap();
        assert!(gains_no_privileges());
        assert_eq!(scene.permitted(), []);
        assert!(!scene.hosts_text("web").contains("10.0.0.2"), "a recipient's file");
        assert_eq!(scene.store.record("db"), None);
    });
}

#[test]
fn a_caller_that_continues_keeps_its_privileges() {
    confined(|scene| {
        let before = gains_no_privileges();
        scene.start(&db()).unwrap();
        assert_eq!(gains_no_privileges(), before);
    });
}

#[test]
fn each_backend_is_asked_once_for_programs() {
    confined(|scene| {
        let log = Listener::new();
        scene.start(&db()).unwrap();
        scene.start_with(&web(), Missing::Fail, Exit).unwrap();
        assert_eq!(scene.journal.count_of("runs_programs"), 1);
        assert!(log.heard("restricted, no programs: "), "{:?}", log.lines());
    });
}

#[test]
fn programs_stay_possible_where_rules_need_them_or_may_need_them() {
    confined(|scene| {
        let log = Listener::new();
        scene.kernel.borrow_mut().runs_programs = true;
        scene.start_with(&db(), Missing::Fail, Exit).unwrap();
        assert!(log.heard("restricted, programs: "), "{:?}", log.lines());
    });
    confined(|scene| {
        let log = Listener::new();
        scene.journal.refuse("runs_programs");
        scene.start_with(&db(), Missing::Fail, Exit).unwrap();
        assert!(log.heard("restricted, programs: "), "{:?}", log.lines());
    });
}

/// A hosts file that cannot be opened is reported by the step that needs it.
#[test]
fn a_hosts_file_that_cannot_be_opened_prevents_the_restriction_only() {
    confined(|scene| {
        scene
            .start_with(&web(), Missing::Defer, crate::lifecycle::privileges::AfterHook::Continue)
            .unwrap();
        let path = scene.hosts("web");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let log = Listener::new();
        scene.start_with(&db(), Missing::Fail, Exit).unwrap();
        assert!(log.heard("restricted, no programs: failed: "), "{:?}", log.lines());
    });
}
