//! Commands in other namespaces than those in which the records were made, and commands with another
//! state directory: they change nothing that is not theirs.

use crate::{
    backends::each_backend,
    cast::{end, inspect, ls, permissions, prepared, recipient, source},
    lifecycle::{by_hand, call, everything, host_with, wipe},
    support::{Bundle, Container, Host, Netns, OCI_LINK, Outcome, Runtime, each_runtime},
};
use oci_link::testing::BackendName;
use std::{collections::BTreeSet, fs, process::Command};

/// Commands that change links, or say what is to be changed.
const CHANGES: [&str; 8] = [
    "gc",
    "gc --dry-run",
    "gc --all",
    "sync",
    "sync --check",
    "connect db web:w",
    "disconnect web db",
    "watch",
];

/// `command`, run by another one that takes it as its last words.
fn through(outer: &[&str], command: &Command) -> Command {
    let mut through = Command::new(outer[0]);
    through.args(&outer[1..]).arg(command.get_program()).args(command.get_args());
    through
}

/// `command` in the network namespace `netns`.
fn in_network(netns: &Netns, command: &Command) -> Command {
    let net = format!("--net={}", netns.path().display());
    through(&["nsenter", &net], command)
}

fn words(host: &Host, words: &str) -> Command {
    host.oci_link(&words.split(' ').collect::<Vec<_>>())
}

/// The runtime's `run --detach` of `container`.
fn run(host: &Host, container: &Container) -> Command {
    let id = container.bundle().file_name().expect("the bundle is named after the id");
    let mut run = host.runtime(&["run", "--detach", "--bundle"]);
    run.arg(container.bundle()).arg(id);
    run
}

fn names(host: &Host) -> BTreeSet<String> {
    ls(host).iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// Nothing was made in `netns`.
#[track_caller]
fn assert_untouched(netns: &Netns) {
    let rules = netns.enter(|| Command::new("nft").args(["list", "ruleset"]).output());
    let rules = String::from_utf8(rules.expect("nft is there").stdout).expect("text");
    assert!(!rules.contains("OCI-LINK") && !rules.contains("oci-link"), "{rules}");
}

each_backend! {
    fn n31_commands_in_another_network_change_nothing(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let other = Netns::create();
        let before = everything(&host);
        for command in CHANGES {
            let refused = host.run(&mut in_network(&other, &words(&host, command))).refused(9);
            assert!(refused.contains("was recorded in another network namespace"), "{refused}");
            assert_eq!(everything(&host), before, "{command}");
        }
        // The end goes through, and its record is left for a command in the right namespace.
        web.kill();
        host.run(&mut in_network(&other, &host.runtime(&["delete", "web"]))).ok();
        assert_eq!(everything(&host), before);
        assert_untouched(&other);
        let said = call(&host, "gc").ended(0);
        assert!(said.contains("links of container web"), "{said}");
        assert_eq!(permissions(&host), [""; 0]);
        end(&db);
        host.assert_nothing_left();
    }

    fn n33_another_state_directory_is_let_alone(backend) {
        let host = Host::open(Runtime::Runc.turned());
        let config = format!("[firewall]\nbackend = \"{backend}\"\n");
        fs::write(host.path("config.toml"), config).expect("written");
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let before = everything(&host);
        for command in ["gc", "gc --dry-run", "sync", "sync --check"] {
            assert_eq!(with_other(&host, command).ended(0), "", "{command}");
            assert_eq!(everything(&host), before, "{command}");
        }
        let kept = format!("kept: firewall: common rules of {backend}: another state directory");
        let said = with_other(&host, "gc --all").ended(0);
        assert!(said.contains(&kept), "{said}");
        assert_eq!(everything(&host), before);

        // Both have links, and each removes its own.
        let first = permissions(&host);
        let other_db = of_other(&host, host.container("db2").annotate("ports", "3306"));
        let other_web = of_other(&host, host.container("web2").annotate("links", "db2"));
        for container in [&other_db, &other_web] {
            container.run().ok();
        }
        let mut second = permissions(&host);
        second.retain(|rule| !first.contains(rule));
        assert!(!second.is_empty());
        let said = call(&host, "gc --all").ended(0);
        assert!(said.contains(&kept), "{said}");
        assert_eq!(permissions(&host), second);
        assert_eq!(with_other(&host, "sync --check").ended(0), "");
        let said = with_other(&host, "gc --all").ended(0);
        assert!(!said.contains("kept"), "{said}");
        assert_eq!((permissions(&host), host.rules()), (vec![], host.baseline().to_vec()));
        [&web, &db, &other_web, &other_db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// `oci-link` with a second state directory.
fn with_other(host: &Host, words: &str) -> Outcome {
    let path = |name| host.path(name).display().to_string();
    let [config, other, log] = ["config.toml", "other", "log"].map(path);
    let mut command = Command::new(OCI_LINK);
    command.args(["--config", &config, "--state-dir", &other, "--log-file", &log]);
    host.run(command.args(words.split(' ')))
}

/// A container whose hooks have the second state directory.
fn of_other<'h>(host: &Host, bundle: Bundle<'h>) -> Container<'h> {
    let [first, other] = [host.state_dir(), host.path("other")].map(|p| p.display().to_string());
    let bundle = bundle.hooks().edit(|config| {
        let text = config.to_string().replace(&first, &other);
        *config = serde_json::from_str(&text).expect("JSON");
    });
    bundle.build()
}

each_runtime! {
    fn n31_a_start_in_another_network_is_refused_with_links_only(runtime) {
        let host = Host::isolated(runtime);
        let db = source(&host, "db", "3306");
        let web = prepared(&host, "web", "db");
        let plain = host.container("plain").annotate("ports", "80").hooks().build();
        let (other, before) = (Netns::create(), everything(&host));
        host.run(&mut in_network(&other, &run(&host, &plain))).ok();
        let said = host.run(&mut in_network(&other, &run(&host, &web))).refused(1);
        assert!(runtime == Runtime::Crun || said.contains("exit status 9"), "{said}");
        assert_eq!(everything(&host), before);
        assert_eq!(names(&host), BTreeSet::from(["db".to_owned()]));
        let log = fs::read_to_string(host.path("log")).expect("a log");
        assert!(log.contains("plain: starts, but is not recorded"), "{log}");
        assert_untouched(&other);
        // The last one has ended, so the next may be anywhere.
        end(&plain);
        end(&db);
        host.run(&mut in_network(&other, &run(&host, &plain))).ok();
        assert_eq!(names(&host), BTreeSet::from(["plain".to_owned()]));
        host.run(&mut in_network(&other, &host.runtime(&["delete", "--force", "plain"]))).ok();
        host.assert_nothing_left();
    }

    fn n32_what_cannot_be_seen_is_not_dead(runtime) {
        let host = Host::isolated(runtime);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let before = everything(&host);
        for outer in [
            &["unshare", "--pid", "--fork", "--mount-proc"][..],
            &["unshare", "--pid", "--fork"],
            &["unshare", "--time", "--boottime", "1000000", "--fork"],
        ] {
            for command in CHANGES {
                let refused = host.run(&mut through(outer, &words(&host, command))).refused(9);
                let why = "was recorded in another pid or time namespace";
                assert!(refused.contains(why), "{outer:?} {command}: {refused}");
                assert_eq!(everything(&host), before, "{outer:?} {command}");
            }
            let over = br#"{"id":"web","status":"stopped"}"#;
            host.feed(&mut through(outer, &words(&host, "hook poststop")), over).ok();
            assert_eq!(everything(&host), before, "{outer:?}");
            let said = host.run(&mut through(outer, &words(&host, "doctor"))).said();
            assert!(said.contains("run oci-link doctor on the host"), "{said}");
            assert!(!said.contains(" gc\n"), "{said}");
        }
        assert_eq!(call(&host, "sync --check").ended(0), "");
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// Process 1 is in the namespace of the records, and these hooks and commands are in another one.
#[test]
fn n31_commands_enter_the_network_of_process_1() {
    const WORLD: &str = r#"
        oci_link=$1; shift
        call() { "$oci_link" "$@"; }
        apart() { unshare --net "$oci_link" "$@"; }
        state() { printf '{"id":"%s","status":"creating","pid":%s,"bundle":"%s"}' "$@"; }
        nsenter --net="$DB_NET" sleep 600 & db=$!
        nsenter --net="$WEB_NET" sleep 600 & web=$!
        sleep 0.2
        state db $db "$DB" | call "$@" hook createRuntime
        state web $web "$WEB" | apart "$@" hook createRuntime
        ipset save | grep '^add oci-link4-port '
        call "$@" sync --check
        kill $web; wait $web || true
        echo '{"id":"web","status":"stopped"}' | apart "$@" hook poststop
        test -z "$(ipset save | grep '^add')"
        kill $db; wait $db || true
        apart "$@" gc
    "#;
    let host = Host::open(Runtime::Runc);
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"ipset\"\n").expect("written");
    let db = host.container("db").annotate("ports", "3306").build();
    let web = host.container("web").annotate("links", "db").build();
    let mut world = Command::new("unshare");
    world.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-exc", WORLD, "sh"]);
    world.arg(OCI_LINK).args(host.global_options());
    for (name, container) in [("DB", &db), ("WEB", &web)] {
        world.env(name, container.bundle());
        world.env(format!("{name}_NET"), container.netns().path());
    }
    let said = host.run(&mut world).ok();
    assert!(said.contains("removed: links of container db"), "{said}");
    host.assert_nothing_left();
}

/// Its tags do not name the state directory. The owner of these rules is not known, so they are removed
/// only when they would let another container through.
#[test]
fn rules_of_an_earlier_version_stay_until_their_address_is_assigned_again() {
    let host = Host::open(Runtime::Runc.turned());
    fs::write(host.path("config.toml"), "[firewall]\nbackend = \"ipset\"\n").expect("written");
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    assert_eq!(inspect(&host, "web")["backend"], BackendName::Ipset.as_str());
    let add = |number: u8, tag: &str| {
        let element = format!("10.77.0.{number},tcp:80,10.77.0.{}", db.number());
        by_hand(&host, &[&format!("ipset add oci-link4 {element} comment {tag}")]);
        format!("add oci-link4 {element} comment \"{tag}\"")
    };
    let is_there = |element: &String| permissions(&host).contains(element);
    let all = [add(91, "aaaaaaaaaaaaaaaa"), add(92, "bbbbbbbbbbbbbbbb")];
    for command in ["gc", "sync"] {
        assert_eq!(call(&host, command).ended(0), "");
        assert!(all.iter().all(is_there), "{:?}", permissions(&host));
    }
    wipe(&host);
    let next = host.container("next").number(91).annotate("ports", "80").hooks().build();
    next.run().ok();
    assert_eq!(all.each_ref().map(is_there), [false, true]);
    call(&host, "gc --all").ok();
    assert_eq!(permissions(&host), [""; 0]);
    [&next, &web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}
