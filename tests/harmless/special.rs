//! Entries that need a test of their own: `oci-link-runtime`, which chooses the runtime, containers that the
//! runtime does not know, and users without privileges.

use crate::case::Case;
use crate::catalogue::Report;
use crate::containers::Edit;
use crate::each_runtime_in_full;
use crate::environments::{Environment, WORST};
use crate::life::{Life, live};
use crate::machine::{Machine, PATIENCE};
use crate::support::{OCI_LINK, Runtime};
use crate::way::Way;
use serde_json::json;

const fn on(name: &'static str, breaks: &'static str) -> Environment {
    Environment { name, breaks, patience: PATIENCE, undone_at_once: true }
}

fn unknown(runtime: Runtime) {
    let lived = |machine: &Machine, way, breaks: &str| {
        machine.shell(breaks, &[]);
        let mut case = Case::plain();
        let _bundle = case.build(machine, way, |_| {});
        let mut life = Life { machine, way, case, steps: Vec::new() };
        let _ = life.unknown();
        life.steps
    };
    let mut report = Report::new(runtime);
    let entry = "a container that is not there";
    let Some(without) = report.without(entry, |m, way| lived(m, way, "")) else {
        return report.end();
    };
    for way in [Way::Wrapper, Way::Configured] {
        let configured = format!("config '[runtime]' 'command = \"{}\"'", runtime.program());
        let name = (entry, "a healthy environment", way);
        report.compare(name, &without, |m, way| lived(m, way, &configured));
    }
    let name = (entry, WORST.name, Way::Wrapper);
    report.compare(name, &without, |m, way| lived(m, way, WORST.breaks));
    report.end();
}

fn the_configured_runtime(runtime: Runtime) {
    let named = match runtime {
        Runtime::Runc => "config '[runtime]' 'command = \"runc\"'",
        Runtime::Crun => "config '[runtime]' 'command = \"crun\"'",
        Runtime::Youki => "config '[runtime]' 'command = \"youki\"'",
    };
    let mut report = Report::new(runtime);
    let Some(without) = report.without("plain", |m, way| live(m, way, |_| {}, None)) else {
        return report.end();
    };
    for host in [
        on("config.toml names the runtime", named),
        on("no other runtime is installed", "hide_other_runtimes"),
        on("no other runtime, no config.toml", "hide_other_runtimes; rm -r /etc/oci-link"),
    ] {
        let name = ("plain", host.name, Way::Configured);
        report.compare(name, &without, |m, way| live(m, way, |_| {}, Some(&host)));
    }
    report.end();
}

fn users(runtime: Runtime) {
    let mut report = Report::new(runtime);
    let callers: [(&str, Edit); 2] = [
        ("a user without privileges", |case| {
            as_user(case, &[]);
            case.with_ids(65_534, 1);
        }),
        ("root of a user namespace", |case| {
            let enter =
                "exec nsenter --user --preserve-credentials --target $(cat /run/holder) \"$@\"";
            as_user(case, &["sh", "-c", enter, "sh"]);
        }),
    ];
    for (entry, edit) in callers {
        let lived = |m: &Machine, way: Way| {
            m.shell(&format!("user {}", m.runtime.program()), &[("OCI_LINK", OCI_LINK)]);
            live(m, way, edit, None)
        };
        let Some(without) = report.without(entry, lived) else { continue };
        let started = without.iter().find(|step| step.what == "start").expect("it is created");
        assert_eq!(started.status, "0", "{entry}: {runtime:?} itself fails: {}", started.stderr);
        for way in [Way::Wrapper, Way::Hooks, Way::Configured] {
            report.compare((entry, "/run/oci-link is root's", way), &without, lived);
        }
    }
    report.end();
}

/// The runtime is called by uid 65534, which owns the bundle and a `--root`.
fn as_user(case: &mut Case, by: &[&str]) {
    let directory = case.bundle.strip_suffix("/bundles/case").expect("a bundle");
    let own = format!("{directory}/own");
    let caller =
        "setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH=/usr/sbin:/usr/bin";
    case.caller = caller.split(' ').chain(by.iter().copied()).map(String::from).collect();
    let variables = [format!("HOME={own}"), format!("XDG_RUNTIME_DIR={own}")];
    let at = caller.split(' ').count();
    case.caller.splice(at..at, variables);
    case.root = "own/root";
    // A user has no control group to put the container in.
    case.globals = match case.runtime {
        Runtime::Runc => &["--rootless=true"],
        Runtime::Crun => &["--cgroup-manager=disabled"],
        Runtime::Youki => &[],
    };
    case.config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
    case.shell = "chown -R 65534:65534 $BUNDLE";
    case.without_namespace("network");
    let namespaces = case.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.push(json!({ "type": "network" }));
}

each_runtime_in_full! {
    fn h17_the_wrapper_takes_the_configured_runtime(runtime) {
        the_configured_runtime(runtime);
    }

    fn h19_commands_for_an_unknown_container(runtime) {
        unknown(runtime);
    }

    fn h20_users_without_privileges(runtime) {
        users(runtime);
    }
}
