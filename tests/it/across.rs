//! Links between hosts: real containers on hosts that are connected by routes, real packets, and a courier that is a
//! shell script.

mod site;

use crate::{
    cast::{end, inspect, ls, permissions},
    lifecycle::call,
    support::{Container, Flow, Host, OPEN, Proto, SHUT},
    watch::soon,
};
use nix::sys::signal::Signal::SIGKILL;
use serde_json::Value;
use site::{PATIENCE, Site, meet};
use std::{
    net::IpAddr,
    process::Command,
    time::{Duration, Instant},
};

/// A shared source.
fn shared<'h>(host: &'h Host, id: &str, share: &str) -> Container<'h> {
    let bundle = host.container(id).annotate("ports", "3306,3308").annotate("share", share);
    let source = bundle.env("SECRET=x").hooks().build();
    source.run().ok();
    meets(&source);
    source
}

/// The container and its host know each other.
fn meets(container: &Container) {
    let own = container.addresses()[1].to_string();
    let network = own.rsplit_once(':').map_or("", |(first, _)| first);
    meet(container.netns(), &format!("{network}:1"));
}

/// A recipient that is prepared and runs.
fn linked<'h>(host: &'h Host, id: &str, links: &str) -> Container<'h> {
    let web = host.container(id).annotate("links", links).build();
    web.prepare().ok();
    web.run().ok();
    meets(&web);
    web
}

/// What `ls` on `host` says of the container `id`.
fn shown(host: &Host, id: &str) -> Value {
    ls(host).into_iter().find(|one| one["id"] == id).unwrap_or_default()
}

/// Packets come through. On a busy machine an IPv6 neighbour may answer later than a probe waits.
#[track_caller]
fn open(web: &Container, db: &Container) {
    let mut tries = (0..3).map(|_| web.reach(db, Proto::Tcp, 3306));
    assert!(tries.any(|reach| reach == OPEN), "no way to its source");
}

/// Waits until all links of the container `id` are ready.
#[track_caller]
fn soon_ready(host: &Host, id: &str) {
    soon("the other host lets it in", || {
        let now = shown(host, id);
        let mut links = now["links"].as_array().into_iter().flatten();
        now["state"] == "ready" && links.all(|link| link["state"] == "ready")
    });
}

/// Whether an element of `host` names one of the addresses.
fn permits(host: &Host, addresses: &[IpAddr]) -> bool {
    let all = permissions(host).join("\n");
    let is_part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    addresses.iter().any(|address| {
        let text = address.to_string();
        let mut found = all.match_indices(&text);
        found.any(|(at, _)| !all[at + text.len()..].starts_with(is_part))
    })
}

fn a_link_from_its_start_to_the_end_of_its_source(backend: &str) {
    let site = Site::new(2, backend);
    site.carry();
    let (a, b) = (&site.hosts[0], &site.hosts[1]);
    let _watches = [site.watch(0), site.watch(1)];
    let db = shared(b, "db", "a");
    soon("a hears of it", || shown(a, "db")["state"] == "ready");
    let web = linked(a, "web", "db@b:mysql");
    let variables = web.environ();
    let address = db.addresses()[0];
    for expected in [format!("MYSQL_PORT=tcp://{address}:3306"), "MYSQL_NAME=/web/mysql".to_owned()]
    {
        assert!(variables.contains(&expected), "{expected} in {variables:?}");
    }
    assert!(!variables.iter().any(|it| it.contains("SECRET")), "{variables:?}");
    assert!(web.hosts().contains(&format!("{address}\tmysql db db\n")), "{}", web.hosts());
    soon_ready(a, "web");
    open(&web, &db);
    assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT, "a port that is not exposed");
    assert_eq!(db.reach(&web, Proto::Tcp, 3306), SHUT, "the other way");
    let link = &shown(a, "web")["links"][0];
    assert_eq!((&link["connected"], &link["connected_host"]), (&"db".into(), &"b".into()));
    assert_eq!(inspect(b, "db")["wanted_by"][0], "web@a");
    assert_eq!(shown(b, "db")["linked_by"][0], "web@a");
    assert!(call(b, "ls").said().contains(" web@a "), "LINKED BY");
    let other = a.container("other").hooks().build();
    other.run().ok();
    meets(&other);
    assert_eq!(other.reach(&db, Proto::Tcp, 3306), SHUT, "it has no link");
    // The source's own end closes its half at once.
    db.kill();
    db.delete().ok();
    assert!(!permits(b, &web.addresses()), "b names the recipient after the source's end");
    soon("the line goes", || !web.hosts().contains("mysql"));
    assert_eq!(shown(a, "web")["links"][0]["state"], "waiting");
    [&web, &other].into_iter().for_each(end);
    assert!(!permits(a, &db.addresses()));
}

#[test]
fn a_link_between_hosts_ipset() {
    a_link_from_its_start_to_the_end_of_its_source("ipset");
}

#[test]
fn a_link_between_hosts_nftables() {
    a_link_from_its_start_to_the_end_of_its_source("nftables");
}

/// Each host closes its own half at the end of its container, without a daemon and without a network.
fn each_host_closes_its_half(backend: &str) {
    let site = Site::new(2, backend);
    site.carry();
    let (a, b) = (&site.hosts[0], &site.hosts[1]);
    let mut watches = [site.watch(0), site.watch(1)];
    let db = shared(b, "db", "all");
    soon("a hears of it", || shown(a, "db")["state"] == "ready");
    let web = linked(a, "web", "db");
    soon_ready(a, "web");
    open(&web, &db);
    let mut flow = Flow::open(&web, &db, 3308);
    for watch in &mut watches {
        assert!(!watch.end(SIGKILL).success());
    }
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "a daemon that died closes nothing at once");
    assert!(flow.is_alive());
    end(&web);
    assert!(!permits(a, &db.addresses()), "a's half");
    assert!(!a.state_dir().join("offers/web.want").exists(), "the want is withdrawn");
    web.unplug();
    let thief = a.container("thief").number(web.number()).hooks().build();
    thief.run().ok();
    meets(&thief);
    assert_eq!(thief.reach(&db, Proto::Tcp, 3306), SHUT, "the address inherits nothing");
    end(&db);
    assert!(!permits(b, &web.addresses()), "b's half");
    db.unplug();
    let next = b.container("next").number(db.number()).hooks().build();
    next.run().ok();
    meets(&next);
    assert_eq!(thief.reach(&next, Proto::Tcp, 3306), SHUT);
    [&thief, &next].into_iter().for_each(end);
}

#[test]
fn each_host_closes_its_half_ipset() {
    each_host_closes_its_half("ipset");
}

#[test]
fn each_host_closes_its_half_nftables() {
    each_host_closes_its_half("nftables");
}

/// Without news the links close when patience is over, with a daemon and without, and open again with the next.
fn what_nothing_is_heard_of_closes_in_time(backend: &str, with_daemon: bool) {
    let site = Site::new(2, backend);
    site.carry();
    let (a, b) = (&site.hosts[0], &site.hosts[1]);
    let mut watches = [site.watch(0), site.watch(1)];
    let db = shared(b, "db", "a");
    soon("a hears of it", || shown(a, "db")["state"] == "ready");
    let web = linked(a, "web", "db@b");
    soon_ready(a, "web");
    // The rules outlast several renewals.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2 * PATIENCE) {
        open(&web, &db);
    }
    if !with_daemon {
        for watch in &mut watches {
            assert!(!watch.end(SIGKILL).success());
        }
    }
    let (silent, mut flow) = (Instant::now(), Flow::open(&web, &db, 3308));
    site.stop_carrying();
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "unknown is not dead");
    soon("both halves close", || !permits(a, &db.addresses()) && !permits(b, &web.addresses()));
    let took = silent.elapsed();
    assert!(took <= Duration::from_secs(PATIENCE + 2), "closed after {took:?}");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
    soon("the view is too old", || shown(a, "web")["state"] == "stale");
    if with_daemon {
        assert!(!flow.is_alive(), "its connections end, too");
        assert!(took >= Duration::from_secs(PATIENCE - 2), "closed after {took:?}");
        site.carry();
        soon_ready(a, "web");
        open(&web, &db);
    }
    [&web, &db].into_iter().for_each(end);
}

#[test]
fn silence_closes_with_a_daemon_ipset() {
    what_nothing_is_heard_of_closes_in_time("ipset", true);
}

#[test]
fn silence_closes_with_a_daemon_nftables() {
    what_nothing_is_heard_of_closes_in_time("nftables", true);
}

#[test]
fn silence_closes_without_a_daemon_ipset() {
    what_nothing_is_heard_of_closes_in_time("ipset", false);
}

#[test]
fn silence_closes_without_a_daemon_nftables() {
    what_nothing_is_heard_of_closes_in_time("nftables", false);
}

/// What another program takes away, and what was missed, comes back by `sync` and with the daemon.
#[test]
fn what_was_lost_comes_back() {
    for backend in ["ipset", "nftables"] {
        let site = Site::new(2, backend);
        site.carry();
        let (a, b) = (&site.hosts[0], &site.hosts[1]);
        let watches = [site.watch(0), site.watch(1)];
        let db = shared(b, "db", "a");
        soon("a hears of it", || shown(a, "db")["state"] == "ready");
        let web = linked(a, "web", "db@b");
        soon_ready(a, "web");
        drop(watches);
        for (host, address) in [(a, db.addresses()), (b, web.addresses())] {
            let flush = match backend {
                "ipset" => "ipset flush",
                _ => "nft delete table inet oci-link",
            };
            host.run(Command::new("sh").args(["-c", flush])).ok();
            assert!(!permits(host, &address));
            let found = host.run(&mut host.oci_link(&["sync", "--check"])).refused(13);
            assert!(found.contains("sync"), "{found}");
            host.run(&mut host.oci_link(&["sync"])).ok();
            assert!(permits(host, &address), "{backend}");
            host.run(&mut host.oci_link(&["sync", "--check"])).ok();
        }
        open(&web, &db);
        // A source that died without a hook.
        db.kill();
        b.run(&mut b.oci_link(&["gc"])).ok();
        assert!(!permits(b, &web.addresses()), "gc ends its guests");
        db.delete().ok();
        let _watches = [site.watch(0), site.watch(1)];
        soon("the want goes", || !a.state_dir().join("offers/web.want").exists());
        end(&web);
        for host in [a, b] {
            host.run(&mut host.oci_link(&["gc", "--all"])).refused(7);
        }
    }
}

/// Consent, names and runs: what a link follows while both containers run.
#[test]
fn a_link_follows_its_source() {
    let site = Site::new(3, "nftables");
    site.carry();
    let (a, b, c) = (&site.hosts[0], &site.hosts[1], &site.hosts[2]);
    let _watches = [site.watch(0), site.watch(1), site.watch(2)];
    let hidden = shared(b, "hidden", "c");
    let db = shared(b, "db", "all");
    soon("all hear of it", || [a, c].iter().all(|host| shown(host, "db")["state"] == "ready"));
    let web = a.container("web").annotate("links", "hidden@b").build();
    let said = web.prepare().refused(4);
    assert_eq!(said, "oci-link: hidden@b: host b shares no hidden with a\n");
    let late =
        a.container("late").annotate("links", "cache@c").annotate("missing", "defer").build();
    late.prepare().ok();
    late.run().ok();
    meets(&late);
    let web = linked(a, "web", "db");
    soon_ready(a, "web");
    open(&web, &db);
    // A second one of the name: the link that stands is kept, a new one must say which.
    let twin = shared(c, "db", "a");
    soon("a hears of both", || ls(a).iter().filter(|one| one["name"] == "db").count() == 2);
    open(&web, &db);
    let other = a.container("other").annotate("links", "db").build();
    let said = other.prepare().refused(4);
    assert!(
        said.contains("db: several containers of other hosts have this name: db@b, db@c"),
        "{said}"
    );
    // The next run of the source is another one.
    end(&db);
    soon("the link moves to the other one", || {
        shown(a, "web")["links"][0]["connected_host"] == "c"
    });
    soon_ready(a, "web");
    open(&web, &twin);
    // A local one of the name comes first.
    let local = a.container("db").annotate("ports", "3306").hooks().build();
    local.run().ok();
    meets(&local);
    assert_eq!(shown(a, "web")["links"][0]["connected_host"], "a");
    open(&web, &local);
    assert_eq!(web.reach(&twin, Proto::Tcp, 3306), SHUT);
    soon("c lets it out", || !permits(c, &web.addresses()));
    // A link that was deferred, and one of a running container.
    let cache = shared(c, "cache", "a");
    soon_ready(a, "late");
    open(&late, &cache);
    a.run(&mut a.oci_link(&["connect", "web", "cache@c:store"])).ok();
    soon_ready(a, "web");
    open(&web, &cache);
    a.run(&mut a.oci_link(&["disconnect", "web", "store"])).ok();
    assert_eq!(web.reach(&cache, Proto::Tcp, 3306), SHUT);
    open(&late, &cache);
    [&late, &web, &local, &cache, &twin, &hidden].into_iter().for_each(end);
}
