//! What a start and an end ask of the kernel, counted in bytes and messages: it does not grow with the
//! links of others, nor with the ports of a range.

use super::{call, host_with};
use crate::{
    backends::each_backend,
    cast::{end, permissions, prepared, recipient, source},
    hazards::scene::after,
    support::{Container, Host},
};
use oci_link::testing::BackendName;
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write, fs, process::Command};

/// What was sent to the kernel and received from it by netlink.
#[derive(Debug, Clone, Copy, Default)]
struct Talk {
    calls: u64,
    sent: u64,
    received: u64,
}

/// Runs `command` with `input` under strace. Returns its calls of sockets, files that are closed and locks.
fn traced(host: &Host, command: &Command, input: &str) -> String {
    let trace = host.path("trace");
    let calls = "-e trace=socket,sendto,sendmsg,recvfrom,recvmsg,close,flock";
    let strace = format!("strace -qq {calls} -o \"$1\" \"${{@:2}}\"; exit $?");
    host.feed(&mut after(&strace, &[&trace], command), input.as_bytes()).ok();
    fs::read_to_string(trace).expect("strace wrote it")
}

fn talk(trace: &str) -> Talk {
    let mut all = Talk::default();
    for line in trace.lines() {
        let result = line.rsplit(" = ").next().and_then(|result| result.parse::<u64>().ok());
        let Some(result) = result else { continue };
        if line.starts_with("send") {
            all.calls += 1;
            all.sent += result;
        } else if line.starts_with("recv") {
            all.received += result;
        }
    }
    assert!(all.sent > 0 && all.received > 0, "{trace}");
    all
}

/// Elements of other containers, as they would be made: with an owner that has no record here.
fn add_others(host: &Host, backend: BackendName, count: u32) {
    let mut text = String::new();
    let nftables = backend == BackendName::Nftables;
    for number in 0..count {
        let [_, _, high, low] = number.to_be_bytes();
        let from = format!("10.{}.{high}.{low}", 100 + number % 4);
        let _ = if nftables {
            writeln!(
                text,
                "add element inet oci-link ported4 {{ \"br0\" . {from} . 10.99.0.1 . tcp . 80 \
                 comment \"ffffffffffffffff\" }}"
            )
        } else {
            writeln!(text, "add oci-link4-port {from},tcp:80,10.99.0.1 comment ffffffffffffffff")
        };
    }
    let file = host.path("others");
    fs::write(&file, text).expect("written");
    let mut command = Command::new(if nftables { "nft" } else { "ipset" });
    command.args(if nftables { &["-f"][..] } else { &["restore", "-file"] }).arg(file);
    host.run(&mut command).ok();
}

/// The hook `stage` of the container `id`, and what its runtime would send to it.
fn hook(host: &Host, stage: &str, container: &Container) -> (Command, String) {
    let id = container.bundle().file_name().expect("named").to_string_lossy().into_owned();
    let state = if stage == "poststop" {
        json!({ "id": id, "status": "stopped", "bundle": container.bundle() })
    } else {
        container.state()
    };
    (host.oci_link(&["hook", stage]), state.to_string())
}

fn trace_of(host: &Host, stage: &str, container: &Container) -> String {
    let (command, state) = hook(host, stage, container);
    traced(host, &command, &state)
}

/// What starts, ends of recipients and an end of a source ask for among so many elements of others.
fn among(backend: BackendName, others: u32) -> Vec<(&'static str, Talk)> {
    let host = host_with(backend);
    let db = source(&host, "db", "3306, 33060");
    let web = recipient(&host, "web", "db");
    let api = recipient(&host, "api", "db");
    add_others(&host, backend, others);
    let start = trace_of(&host, "createRuntime", &web);
    web.kill();
    let ended = trace_of(&host, "poststop", &web);
    db.kill();
    let replanned = trace_of(&host, "poststop", &db);
    let left = permissions(&host);
    assert!(!left.iter().any(|line| line.contains(&api.addresses()[0].to_string())), "{left:?}");
    assert_eq!(left.len(), others as usize);
    vec![
        ("a start", talk(&start)),
        ("an end", talk(&ended)),
        ("an end of a source", talk(&replanned)),
    ]
}

/// Changes of `nf_tables` are finished in close(2) of a netfilter socket, which takes milliseconds.
fn closes_nothing_under_the_lock(trace: &str) {
    let (mut sockets, mut locked, mut closed) = (Vec::new(), None, 0);
    for line in trace.lines() {
        let number = |text: &str| text.split([',', ')']).next().map(str::to_owned);
        if line.starts_with("socket(AF_NETLINK") && line.contains("NETLINK_NETFILTER") {
            sockets.extend(line.rsplit(" = ").next().map(str::to_owned));
        } else if let Some(rest) = line.strip_prefix("flock(") {
            let holds = line.contains("LOCK_EX") && line.ends_with("= 0");
            locked =
                if holds { number(rest) } else { locked.filter(|_| !line.contains("LOCK_UN")) };
        } else if let Some(file) = line.strip_prefix("close(").and_then(number) {
            assert_ne!(locked.as_ref(), Some(&file), "the lock is closed: {line}");
            if sockets.contains(&file) {
                assert_eq!(locked, None, "{line} under the lock\n{trace}");
                sockets.retain(|socket| *socket != file);
                closed += 1;
            }
        }
    }
    assert!(closed > 0, "no netfilter socket was closed\n{trace}");
}

/// How often `command` opens each record.
fn opened_records(host: &Host, command: &Command) -> BTreeMap<String, usize> {
    let trace = host.path("trace");
    let strace = "strace -qq -e trace=openat -o \"$1\" \"${@:2}\"; exit 0";
    host.run(&mut after(strace, &[&trace], command)).ok();
    let text = fs::read_to_string(trace).expect("strace wrote it");
    let mut opened = BTreeMap::new();
    for name in text.lines().filter_map(|line| line.split('"').nth(1)) {
        // Other files of JSON are opened by their whole path.
        if name.strip_suffix(".json").is_some() && !name.starts_with('/') {
            *opened.entry(name.to_owned()).or_default() += 1;
        }
    }
    opened
}

/// A command that examines everything reads each record once, however many containers name each other.
#[test]
fn a_report_reads_each_record_once() {
    let host = host_with(BackendName::Ipset);
    let _db = source(&host, "db", "3306");
    let recipients: Vec<Container> =
        (0..6).map(|number| recipient(&host, &format!("web{number}"), "db")).collect();
    for words in [&["sync", "--check"][..], &["gc", "--dry-run"], &["doctor"], &["graph"], &["ls"]]
    {
        let opened = opened_records(&host, &host.oci_link(words));
        assert_eq!(opened.len(), recipients.len() + 1, "{words:?}: {opened:?}");
        assert!(opened.values().all(|times| *times == 1), "{words:?}: {opened:?}");
    }
}

#[test]
fn n73_what_is_asked_does_not_grow_with_the_links_of_others() {
    for backend in [BackendName::Nftables, BackendName::Ipset] {
        let (few, many) = (among(backend, 10), among(backend, 5000));
        for ((what, few), (_, many)) in few.iter().zip(&many) {
            println!("{backend}: {what}: {few:?} among 10, {many:?} among 5000");
            // Addresses and counters of the kernel differ a little from host to host.
            for (few, many) in [(few.sent, many.sent), (few.received, many.received)] {
                assert!(many <= few + 512, "{backend}: {what}: {few} and {many} bytes");
            }
        }
    }
}

/// After a flush by another program too.
#[test]
fn n73_nothing_is_listed_after_a_flush() {
    let ends = [10, 5000].map(|others| {
        let host = host_with(BackendName::Nftables);
        let _db = source(&host, "db", "3306, 33060");
        let web = recipient(&host, "web", "db");
        let set = ["flush", "set", "inet", "oci-link", "ported4"];
        host.run(Command::new("nft").args(set)).ok();
        add_others(&host, BackendName::Nftables, others);
        web.kill();
        let ended = talk(&trace_of(&host, "poststop", &web));
        assert_eq!(permissions(&host).len(), others as usize);
        ended
    });
    assert!(ends[1].received <= ends[0].received + 512, "{ends:?}");
}

each_backend! {
    fn no_netfilter_socket_is_closed_under_the_lock(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        let _api = recipient(&host, "api", "db");
        web.kill();
        closes_nothing_under_the_lock(&trace_of(&host, "poststop", &web));
        db.kill();
        closes_nothing_under_the_lock(&trace_of(&host, "poststop", &db));
        call(&host, "sync --check").ok();
    }

    /// 16,384 ports in two families are no more messages than a few.
    fn a_range_is_a_few_messages(backend) {
        let host = host_with(backend);
        let _pbx = source(&host, "pbx", "80, 16384-32767/udp");
        let web = host.container("web").annotate("links", "pbx").build();
        web.create().ok();
        // What all links share is made.
        let _first = recipient(&host, "first", "pbx");
        let before = permissions(&host).len();
        let start = talk(&trace_of(&host, "createRuntime", &web));
        let made = permissions(&host).len() - before;
        if backend == BackendName::Ipset {
            // The ports and a seat in each family, and both ends at their bridge ports.
            assert_eq!(made, 2 * (16_385 + 1) + 4);
        }
        web.kill();
        let ended = talk(&trace_of(&host, "poststop", &web));
        assert_eq!(permissions(&host).len(), before);
        println!("{backend}: {start:?}, {ended:?}");
        for talk in [start, ended] {
            assert!(talk.sent < 16 << 10 && talk.calls < 100, "{talk:?}");
        }
    }
}

/// Two containers of a pod need the same elements, of which one alone was there before.
#[test]
fn a_range_of_which_a_part_exists_is_shared() {
    let host = host_with(BackendName::Ipset);
    let pbx = source(&host, "pbx", "7000-7400");
    let few = source(&host, "few", "7100-7102");
    let web = recipient(&host, "web", "few pbx");
    let pod = super::in_pod_of(&web, host.container("pod").annotate("links", "pbx"));
    let whole = permissions(&host).len();
    // 401 and 3 ports in two families, a seat in each, and both ends of two links at their bridge ports.
    assert_eq!(whole, 2 * (401 + 3 + 1) + 8);
    assert_eq!(call(&host, "sync --check").ended(0), "");
    end(&pod);
    assert_eq!(permissions(&host).len(), whole);
    assert_eq!(call(&host, "sync --check").ended(0), "");
    // A part was removed by hand.
    let elements = host.set_elements();
    let words = elements.iter().filter(|line| line.contains("tcp:7200,"));
    for line in words {
        let words: Vec<&str> = line.split(' ').collect();
        host.run(Command::new("ipset").args(["del", words[1], words[2]])).ok();
    }
    assert_eq!(permissions(&host).len(), whole - 2);
    call(&host, "sync").ok();
    assert_eq!(permissions(&host).len(), whole);
    end(&web);
    assert_eq!(permissions(&host), [""; 0]);
    [&pbx, &few].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// A set that is full in the midst of a range: what was added goes again, and what another has stays.
#[test]
fn a_range_that_does_not_fit_is_taken_back() {
    let host = host_with(BackendName::Ipset);
    let pbx = source(&host, "pbx", "7000-7400");
    let web = prepared(&host, "web", "pbx");
    let other = recipient(&host, "other", "pbx");
    let sorted = || {
        let mut all = permissions(&host);
        all.sort();
        all
    };
    let before = sorted();
    let full = "ipset -exist create full hash:ip,port,ip comment maxelem 500; \
                ipset save oci-link4-port | sed -n 's/^add oci-link4-port /add full /p' | ipset restore; \
                ipset swap oci-link4-port full; ipset destroy full";
    host.run(Command::new("sh").args(["-c", full])).ok();
    assert_eq!(sorted(), before);
    let _ = web.run().refused(1);
    let log = fs::read_to_string(host.path("log")).expect("a log");
    assert!(log.contains("the set is full"), "{log}");
    assert_eq!(sorted(), before);
    assert_eq!(call(&host, "sync --check").ended(0), "");
    [&other, &pbx].into_iter().for_each(end);
    assert_eq!(permissions(&host), [""; 0]);
}
