//! The hook where it belongs: `runc run` and `crun run` of a program that does nothing, from the
//! runtime's start to its end, with the hook at both ends of the container.

use crate::{
    containers::Network,
    place::Place,
    report::Report,
    rig::{Rig, Wish, runnable},
    sample::{Series, command},
};
use std::path::{Path, PathBuf};

const ROUNDS: usize = 40;

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let rigs = Rig::all(place, "inside");
    let db = Network::new("10.0.0.2", None).start();
    for rig in &rigs {
        rig.create(&Wish { id: "db", links: "", ports: 1 }, &db).run();
    }
    let web = Network::new("10.0.1.3", None).start();
    let noop = place.noop.display().to_string();
    // A hook runs on its runtime's host.
    let mut cases = vec![
        ("no hook".to_owned(), vec![], &rigs[0].host),
        ("a hook that does nothing".to_owned(), vec![noop], &rigs[0].host),
    ];
    for rig in &rigs {
        cases.push((format!("our hook, {}", rig.backend), rig.command_line(), &rig.host));
    }
    for runtime in ["runc", "crun"] {
        let Some(program) = find(runtime) else {
            eprintln!("{runtime} is not installed: left out");
            continue;
        };
        let bundles: Vec<PathBuf> = cases
            .iter()
            .map(|(name, hook, _)| {
                let dir = place.directory(&format!("{runtime}/{}", name.replace([' ', ','], "-")));
                runnable(&dir, &place.noop, &web, "db", hook);
                dir
            })
            .collect();
        let root = place.directory(&format!("{runtime}/root"));
        let mut all: Vec<Series> = cases.iter().map(|_| Series::default()).collect();
        for round in 0..place.rounds(ROUNDS) {
            let hosts = cases.iter().map(|(_, _, host)| host);
            let mut turns: Vec<_> = all.iter_mut().zip(bundles.iter().zip(hosts)).collect();
            // There and back: what one leaves for the kernel to end must not always hit the same.
            if round % 2 == 1 {
                turns.reverse();
            }
            for (series, (bundle, host)) in turns {
                let run = command(&program).args([Path::new("--root"), &root, Path::new("run")]);
                let run = run.args([Path::new("--bundle"), bundle, Path::new("web")]);
                series.measure(run.within(host));
            }
        }
        report.section(&format!("{runtime} run"), &cases[0].0, &all[0]);
        for ((name, ..), series) in cases.iter().zip(&all).skip(1) {
            report.row(name, series, None);
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    directories.iter().map(|dir| Path::new(dir).join(program)).find(|path| path.exists())
}
