//! A disk that takes a part of what is written, and no more.

use crate::{
    actor::{Actor, Hosts},
    scene::host,
    support::Host,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    thread,
};

const PAGE: usize = 4096;

/// A tmpfs of so many pages, for this thread and those it starts.
fn small_disk(path: &Path, pages: usize) {
    const NOTHING: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).expect("root may unshare");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).expect("mounts become private");
    let size = format!("mode=700,size={}", pages * PAGE);
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
        .expect("tmpfs");
}

/// Takes what is left of the disk but for so many pages.
fn fill(path: &Path, but: usize) {
    let mut file = File::create(path).expect("created");
    let mut pages = 0;
    while file.write_all(&[0; PAGE]).is_ok() {
        pages += 1;
    }
    file.set_len((pages - but) as u64 * PAGE as u64).expect("cut");
}

/// In a thread that may have mounts of its own.
fn apart(story: impl FnOnce(&Host) + Send) {
    let host = host("nftables");
    thread::scope(|scope| scope.spawn(|| story(&host)).join()).expect("the story ends well");
}

/// The container runs by then, and an earlier stage has linked others to it.
#[test]
fn a_later_stage_that_fails_leaves_the_links_that_stand() {
    apart(|host| {
        small_disk(&host.state_dir(), 64);
        let web = Actor::new(host, "web", Hosts::Mounted, &[("links", "db"), ("missing", "defer")]);
        let db = Actor::new(host, "db", Hosts::Mounted, &[("ports", "3306")]);
        for actor in [&web, &db] {
            actor.begin();
            actor.call("createRuntime").ok();
        }
        assert!(!host.set_elements().is_empty(), "they are linked");
        let filler = host.state_dir().join("filler");
        fill(&filler, 0);
        let linked = host.set_elements();
        db.call("prestart").ok();
        assert_eq!(host.set_elements(), linked);
        let hosts = fs::read_to_string(web.hosts_path()).expect("a file");
        assert!(hosts.contains("\tdb"), "{hosts}");
        fs::remove_file(&filler).expect("removed");
        host.run(&mut host.oci_link(&["sync"])).ok();
        host.run(&mut host.oci_link(&["sync", "--check"])).ok();
        assert_eq!(host.set_elements(), linked);
    });
}

#[test]
fn f02_a_record_that_does_not_fit_fails_the_start() {
    apart(|host| {
        small_disk(&host.state_dir(), 64);
        let db = Actor::new(host, "db", Hosts::Mounted, &[("ports", "3306")]);
        db.begin();
        db.call("createRuntime").ok();
        let filler = host.state_dir().join("filler");
        // Its record is of several pages: no two of its ports make a range.
        let ports: Vec<String> = (500..2000).map(|number| (2 * number).to_string()).collect();
        let ports = ports.join(",");
        let web = Actor::new(host, "web", Hosts::Mounted, &[("links", "db"), ("ports", &ports)]);
        for left in 0..6 {
            fill(&filler, left);
            web.begin();
            let complaint = web.call("createRuntime").refused(7);
            assert!(complaint.contains("No space left"), "{complaint}");
            web.end();
            fs::remove_file(&filler).expect("removed");
            host.run(&mut host.oci_link(&["gc"])).ok();
            let left: Vec<_> =
                host.state_files().into_iter().filter(|file| file.contains("web")).collect();
            assert_eq!(left, [""; 0]);
            assert_eq!(fs::read(web.hosts_path()).expect("a file"), crate::actor::HOSTS.as_bytes());
            assert_eq!(host.set_elements(), [""; 0]);
        }
        web.begin();
        web.call("createRuntime").ok();
    });
}

#[test]
fn f07_a_hosts_file_that_is_written_in_part_stays_what_it_was() {
    apart(|host| {
        small_disk(&host.path("bundles"), 64);
        let db = Actor::new(host, "db", Hosts::Mounted, &[("ports", "3306")]);
        db.begin();
        db.call("createRuntime").ok();
        for kind in [Hosts::Mounted, Hosts::Inside] {
            let id = format!("{kind:?}").to_lowercase();
            let web = Actor::new(host, &id, kind, &[("links", "db")]);
            web.begin();
            // The block begins on the first page and ends on a second one.
            let lines = "10.1.2.3\tsomebody\n".repeat(PAGE / 18);
            fs::write(web.hosts_path(), &lines).expect("written");
            web.call("createRuntime").ok();
            web.end();
            web.call("poststop").ok();
            assert_eq!(fs::read_to_string(web.hosts_path()).expect("text"), lines);
            let filler = host.path("bundles/filler");
            fill(&filler, 0);
            web.begin();
            let complaint = web.call("createRuntime").refused(8);
            assert!(complaint.contains("No space left"), "{complaint}");
            assert_eq!(fs::read_to_string(web.hosts_path()).expect("text"), lines, "{kind:?}");
            assert_eq!(web.files().len(), 1 + usize::from(kind == Hosts::Inside));
            assert_eq!(host.set_elements(), [""; 0]);
            fs::remove_file(&filler).expect("removed");
        }
    });
}
