//! What is in a hosts file before us, beside us and after us: every byte that is not ours stays.

use super::scene::{Scene, isolated, system};
use crate::{
    cast::{permissions, source},
    support::{Runtime, each_runtime},
};
use serde_json::json;
use std::{
    collections::HashSet,
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

/// A change that another process makes to a hosts file.
type Change<'c> = &'c dyn Fn(String) -> String;

/// For each of `contents`: a container starts with it, is linked, ends; then the bytes are back.
#[track_caller]
fn kept(runtime: Runtime, contents: &[&[u8]]) {
    let host = isolated(runtime);
    for content in contents {
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        fs::write(&hosts, content).expect("written");
        scene.accepted();
        let newline = if content.is_empty() || content.ends_with(b"\n") { "" } else { "\n" };
        let expected = [*content, newline.as_bytes(), scene.block().as_bytes()].concat();
        let now = fs::read(&hosts).expect("readable");
        assert_eq!(now.escape_ascii().to_string(), expected.escape_ascii().to_string());
        scene.end();
        let now = fs::read(&hosts).expect("readable");
        assert_eq!(now.escape_ascii().to_string(), content.escape_ascii().to_string());
    }
}

/// The container starts, `change` is made to its hosts file, the container ends.
fn changed_meanwhile(scene: &Scene, change: impl FnOnce(String) -> String) -> String {
    let hosts = scene.rootfs("etc/hosts");
    scene.accepted();
    let changed = change(fs::read_to_string(&hosts).expect("readable"));
    fs::write(&hosts, changed).expect("written");
    scene.end();
    fs::read_to_string(&hosts).expect("readable")
}

each_runtime! {
    fn a10_another_name_of_hosts_keeps_its_bytes(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        let decoy = scene.decoy("hosts");
        let old = fs::read(&decoy).expect("readable");
        let inside = scene.rootfs("tmp/other");
        fs::remove_file(&hosts).expect("removed");
        for name in [&hosts, &inside] {
            fs::hard_link(&decoy, name).expect("linked");
        }
        scene.accepted();
        assert!(fs::read_to_string(&hosts).expect("readable").ends_with(&scene.block()));
        for name in [&inside, &decoy] {
            assert_eq!(fs::read(name).expect("readable"), old);
        }
        scene.end();
        for name in [&hosts, &inside, &decoy] {
            assert_eq!(fs::read(name).expect("readable"), old);
        }
    }

    fn a18_owner_mode_and_attributes_are_kept(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let hosts = scene.rootfs("etc/hosts");
        chown(&hosts, Some(100_000), Some(100_001)).expect("given away");
        fs::set_permissions(&hosts, fs::Permissions::from_mode(0o4640)).expect("set");
        xattr::set(&hosts, "user.colour", b"green").expect("set");
        let look = || {
            let file = fs::metadata(&hosts).expect("there");
            let colour = xattr::get(&hosts, "user.colour").expect("readable");
            (file.uid(), file.gid(), file.mode(), colour, file.ino())
        };
        for act in [Scene::accepted, Scene::end] {
            let before = look();
            // While it is open, no other file is given its number.
            let _held = fs::File::open(&hosts).expect("readable");
            act(&scene);
            let now = look();
            assert_eq!((now.0, now.1, now.2), (100_000, 100_001, 0o10_4640));
            assert_eq!(now.3.as_deref(), Some(b"green".as_slice()));
            assert_ne!(now.4, before.4, "the file is not replaced: this test sees nothing");
        }
    }

    /// A rootfs without the file, or without its directory, belongs to whom it belongs to.
    fn a18_what_is_made_belongs_to_the_container(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        fs::remove_dir_all(scene.rootfs("etc")).expect("removed");
        chown(scene.rootfs(""), Some(100_000), Some(100_001)).expect("given away");
        scene.accepted();
        for (name, mode) in [("etc", 0o4_0755), ("etc/hosts", 0o10_0644)] {
            let made = fs::metadata(scene.rootfs(name)).expect("made");
            assert_eq!((made.uid(), made.gid(), made.mode()), (100_000, 100_001, mode), "{name}");
        }
        scene.end();
        assert!(!scene.rootfs("etc").exists());
    }

    /// To a container of shifted ids the new file is its root's, as the old one was.
    fn a18_a_container_with_ids_of_its_own(runtime) {
        let host = isolated(runtime);
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").hooks().edit(|config| {
            let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
            let linux = &mut config["linux"];
            linux["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
            linux["uidMappings"] = ids.clone();
            linux["gidMappings"] = ids;
        });
        let web = web.build();
        let rootfs = web.bundle().join("rootfs");
        system("chown", &["-R".as_ref(), "100000:100000".as_ref(), rootfs.as_os_str()]);
        for above in ["", "bundles"] {
            let mode = fs::Permissions::from_mode(0o711);
            fs::set_permissions(host.path(above), mode).expect("set");
        }
        web.run().ok();
        let hosts = web.hosts();
        assert!(hosts.contains(&format!("\n{}\tdb db\n", db.addresses()[0])), "{hosts}");
        let file = fs::metadata(rootfs.join("etc/hosts")).expect("there");
        assert_eq!((file.uid(), file.gid(), file.mode()), (100_000, 100_000, 0o10_0644));
    }

    fn a19_bytes_of_any_kind_are_kept(runtime) {
        kept(runtime, &[
            b"",
            b"\n",
            b"\n\n\n",
            b"127.0.0.1\tlocalhost\r\n10.0.0.1 crlf\r\n",
            b"127.0.0.1\tlocalhost",
            b"127.0.0.1\tlocalhost\r",
            b"10.0.0.1\tnul\0nul\n\0",
            b"\xff\xfe10.0.0.1\tlatin-\xe9\n",
            b"\xef\xbb\xbf127.0.0.1\tbom\n",
        ]);
    }

    fn a20_forged_markers_lose_no_line(runtime) {
        let user = "10.0.0.1\tuser\n";
        let (begin, end) = ("# BEGIN oci-link\n", "# END oci-link\n");
        kept(runtime, &[
            [begin, user, end].concat().as_bytes(),
            [begin, user].concat().as_bytes(),
            [user, end].concat().as_bytes(),
            [end, user, begin].concat().as_bytes(),
            [begin, begin, user, end, end].concat().as_bytes(),
            [begin, end, begin, user, end].concat().as_bytes(),
            [begin, user, "# END oci-link"].concat().as_bytes(),
        ]);
    }

    fn a20_a_doubled_block_loses_no_line(runtime) {
        let host = isolated(runtime);
        let user = "10.0.0.1\tuser\n";
        let changes: [(&str, Change); 5] = [
            ("appended", &|now| now + user),
            ("before everything", &|now| user.to_owned() + &now),
            ("inside the block", &|now| now.replace("# END", &format!("{user}# END"))),
            ("around a second block", &|now| format!("{now}{user}{now}")),
            ("behind a marker", &|now| format!("{now}# BEGIN oci-link\n{user}")),
        ];
        for (place, change) in changes {
            let scene = Scene::open(&host);
            let image = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
            let left = changed_meanwhile(&scene, change);
            assert!(left.contains(user), "{place}: {left}");
            assert!(left.contains(&image), "{place}: {left}");
        }
    }

    /// Between our edits, in the file that the application sees.
    fn a43_what_the_container_writes_stays(runtime) {
        let host = isolated(runtime);
        let file = host.path("hosts");
        fs::write(&file, "127.0.0.1\tlocalhost\n").expect("written");
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.run().ok();
        let web = host.container("web").annotate("links", "db").bind(&file, "/etc/hosts").hooks();
        let web = web.build();
        web.run().ok();
        let note = |name: &str| {
            let _ = web.exec(&["sh", "-c", &format!("echo 10.0.0.9 {name} >> /etc/hosts")]).ok();
        };
        note("early");
        db.kill();
        db.delete().ok();
        drop(db);
        note("between");
        let db = host.container("db").annotate("ports", "3306").hooks().build();
        db.run().ok();
        note("late");
        let hosts = web.hosts();
        let line = format!("{}\tdb db\n", db.addresses()[0]);
        for line in ["10.0.0.9 early\n", "10.0.0.9 between\n", "10.0.0.9 late\n", &line] {
            assert!(hosts.contains(line), "{line:?} is not in {hosts}");
        }
        web.kill();
        web.delete().ok();
        let left = "127.0.0.1\tlocalhost\n10.0.0.9 early\n10.0.0.9 between\n10.0.0.9 late\n";
        assert_eq!(fs::read_to_string(&file).expect("readable"), left);
    }

    /// A file with more lines than are compared is left alone, whatever happens to its links.
    fn a43_a_file_of_a_million_lines_is_left_alone(runtime) {
        for is_mounted in [false, true] {
            let host = isolated(runtime);
            let db = host.container("db").annotate("ports", "3306").hooks().build();
            db.run().ok();
            let mounted = host.path("hosts");
            fs::write(&mounted, "127.0.0.1\tlocalhost\n").expect("written");
            let web = host.container("web").annotate("links", "db").hooks();
            let web = if is_mounted { web.bind(&mounted, "/etc/hosts") } else { web }.build();
            web.run().ok();
            let file = if is_mounted { mounted } else { web.bundle().join("rootfs/etc/hosts") };
            let mut flooded = fs::read(&file).expect("readable");
            flooded.extend(vec![b'\n'; 1_000_000]);
            fs::write(&file, &flooded).expect("written");
            let same = || assert!(fs::read(&file).expect("readable") == flooded, "was edited");
            let log = || fs::read_to_string(host.path("log")).expect("readable");
            db.kill();
            db.delete().ok();
            same();
            assert_eq!(permissions(&host), [""; 0], "its rules go all the same");
            let complaints = || log().matches("more than 20000 lines").count();
            assert!(complaints() > 0, "{}", log());
            let before = complaints();
            web.kill();
            web.delete().ok();
            same();
            assert!(complaints() > before, "{}", log());
            host.assert_nothing_left();
        }
    }

    /// At the very moment of our edits.
    fn a43_lines_written_during_an_edit_stay(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let file = scene.web.bundle().join("hosts");
        fs::write(&file, "127.0.0.1\tlocalhost\n").expect("written");
        scene.edit(|config| {
            let mount = json!({ "destination": "/etc/hosts", "source": &file, "type": "bind" });
            config["mounts"].as_array_mut().expect("a list").push(mount);
        });
        let done = AtomicBool::new(false);
        let write = |line: &String| {
            let mut file = fs::OpenOptions::new().append(true).open(&file).expect("there");
            file.write_all(line.as_bytes()).expect("written");
            thread::sleep(Duration::from_micros(20));
        };
        let written: Vec<String> = thread::scope(|scope| {
            let lines = (0..15_000).map(|number| format!("10.0.0.9 line-{number}\n"));
            let unfinished = lines.take_while(|_| !done.load(Relaxed));
            let writer = scope.spawn(|| unfinished.inspect(write).collect());
            scene.accepted();
            scene.end();
            done.store(true, Relaxed);
            writer.join().expect("it ends")
        });
        let left = fs::read_to_string(&file).expect("readable");
        let left: HashSet<&str> = left.split_inclusive('\n').collect();
        let lost = written.iter().filter(|line| !left.contains(line.as_str())).count();
        assert!(written.len() > 100 && lost == 0, "{lost} of {} lines lost", written.len());
    }
}
