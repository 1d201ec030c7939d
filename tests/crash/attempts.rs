//! Trying many points, on as many hosts as there are processors, and telling all that went wrong.

use crate::scene::{Scene, Stage, host};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Instant,
};

/// How many complaints are told in full.
const TOLD: usize = 8;

/// Runs `attempt` for each of `points`, each in a scene that is as the last one found it. After a
/// complaint the scene is made anew.
pub(crate) fn all<P: Sync + std::fmt::Debug>(
    backend: &'static str,
    stage: Stage,
    what: &str,
    points: &[P],
    workers: usize,
    attempt: impl Fn(&Scene, &P) + Sync,
) {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut complaints = Vec::new();
        while let Some(from) = points.get(next.load(Relaxed)..).filter(|rest| !rest.is_empty()) {
            let _ = from;
            let host = host(backend);
            let scene = Scene::new(&host, backend, stage);
            while let Some(point) = points.get(next.fetch_add(1, Relaxed)) {
                let done = catch_unwind(AssertUnwindSafe(|| attempt(&scene, point)));
                if let Err(cause) = done {
                    let why = cause.downcast_ref::<String>().cloned().unwrap_or_default();
                    complaints.push(format!("{point:?}: {why}"));
                    break;
                }
            }
        }
        complaints
    };
    let complaints: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    println!("{backend}, {stage:?}: {what}: {} points in {:.0?}", points.len(), begun.elapsed());
    assert!(
        complaints.is_empty(),
        "{} of {} points:\n{}",
        complaints.len(),
        points.len(),
        complaints[..complaints.len().min(TOLD)].join("\n\n")
    );
}

/// Makes trying everything of a stage one test per backend.
macro_rules! each_backend {
    ($($name:ident => $stage:expr,)*) => {$(
        mod $name {
            use super::*;

            #[test]
            #[ignore = "minutes: make test-crash"]
            fn iptables() {
                everything("iptables", $stage);
            }

            #[test]
            #[ignore = "minutes: make test-crash"]
            fn ipset() {
                everything("ipset", $stage);
            }

            #[test]
            #[ignore = "minutes: make test-crash"]
            fn nftables() {
                everything("nftables", $stage);
            }

            #[test]
            #[ignore = "minutes: make test-crash"]
            fn none() {
                everything("none", $stage);
            }
        }
    )*};
}
pub(crate) use each_backend;
