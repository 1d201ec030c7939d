//! config.json in forms that runtimes accept: large, odd, behind a link, or read-only.

use super::{bundle, hosts, starts_and_ends};
use crate::cast::{end, ls};
use crate::support::{Container, Host, OPEN, Proto, Runtime, each_runtime};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

/// Writes `text` in place of the container's config.json.
fn rewrite(container: &Container, change: impl FnOnce(String) -> Vec<u8>) {
    let path = container.bundle().join("config.json");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(path, change(text)).expect("written");
}

/// Adds members behind the first brace.
fn with_members(members: &str) -> impl Fn(String) -> Vec<u8> + '_ {
    move |text| text.replacen('{', &format!("{{{members},"), 1).into_bytes()
}

/// Text that stands in config.json before its own members, and the runtimes that accept it.
fn oddities() -> Vec<(&'static str, String, &'static [Runtime])> {
    const ALL: &[Runtime] = &[Runtime::Runc, Runtime::Crun, Runtime::Youki];
    const BOTH: &[Runtime] = &[Runtime::Runc, Runtime::Crun];
    const RUNC: &[Runtime] = &[Runtime::Runc];
    let many: Vec<String> = (0..5000).map(|n| format!("\"com.example.a{n}\":\"x\"")).collect();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    vec![
        (
            "many members",
            (0..20_000).map(|n| format!("\"k{n}\":0")).collect::<Vec<_>>().join(","),
            ALL,
        ),
        ("deep", format!("\"x\":{}", deep(5000)), ALL),
        ("deeper", format!("\"x\":{}", deep(50_000)), &[Runtime::Crun, Runtime::Youki]),
        ("large", format!("\"x\":\"{}\"", "x".repeat(6 << 20)), ALL),
        ("doubled", "\"ociVersion\":\"1.0.2\",\"x\":1,\"x\":2".to_owned(), BOTH),
        ("annotations", format!("\"annotations\":{{{}}}", many.join(",")), RUNC),
        (
            "doubled name",
            "\"annotations\":{\"org.oci-link.name\":\"a\",\"org.oci-link.name\":\"b\"}".to_owned(),
            RUNC,
        ),
        (
            "null annotation",
            "\"annotations\":{\"a\":null,\"org.oci-link.links\":null}".to_owned(),
            RUNC,
        ),
        ("half a surrogate pair", "\"x\":\"\\ud800\"".to_owned(), ALL),
    ]
}

each_runtime! {
    fn h03_odd_files(runtime) also youki {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            for (what, members, _) in oddities().iter().filter(|(.., which)| which.contains(&runtime)) {
                let odd = bundle(host, wrapped, "odd").build();
                rewrite(&odd, with_members(members));
                starts_and_ends(host, &odd, what);
            }
        }
    }

    /// runc ignores what follows the object, and accepts any bytes in strings.
    fn h03_bytes_that_are_no_text(runtime) {
        if runtime == Runtime::Crun {
            return;
        }
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            let odd = bundle(host, wrapped, "odd").build();
            rewrite(&odd, |text| {
                let mut bytes = with_members("\"x\":\"?\"")(text);
                let at = bytes.iter().position(|byte| *byte == b'?').expect("it is there");
                bytes[at] = 0xff;
                [&bytes[..], b" trailing"].concat()
            });
            starts_and_ends(host, &odd, "bytes");
        }
    }

    /// The links of a container do not depend on its other annotations.
    fn h03_many_annotations_beside_links(runtime) also youki {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            let annotated = |id: &str| {
                bundle(host, wrapped, id).edit(|config| {
                    for number in 0..20_000 {
                        config["annotations"][format!("com.example.annotation{number}")] = "x".repeat(100).into();
                    }
                })
            };
            let db = annotated("db").annotate("ports", "3306").build();
            let web = annotated("web").annotate("links", "db").build();
            for container in [&db, &web] {
                container.create().ok();
                container.start().ok();
            }
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            end(&web);
            end(&db);
            host.assert_nothing_left();
        }
    }

    fn h04_bad_values_without_links(runtime) also youki {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            for (key, value) in [
                ("name", "a b"), ("name", ""), ("name", "é"), ("ports", "x"), ("ports", "0"),
                ("missing", "later"), ("env", "A="), ("isolate", "yes"), ("link", "db"),
                ("Links", "db"), ("links/web", "db"), ("nonsense", "x"),
            ] {
                let odd = bundle(host, wrapped, "odd").annotate(key, value).build();
                starts_and_ends(host, &odd, key);
            }
            let log = fs::read_to_string(host.path("log")).expect("readable");
            assert!(log.contains("did you mean org.oci-link.links?"), "{log}");
            assert!(!log.contains("links/web"), "{log}");
        }
    }

    /// With links the same values are errors.
    fn h04_bad_values_with_links(runtime) also youki {
        let host = Host::isolated(runtime);
        let db = bundle(&host, false, "db").annotate("ports", "3306").build();
        db.run().ok();
        for (key, value, word) in [
            ("name", "a b", "container name"), ("ports", "x", "port"), ("missing", "later", "missing"),
            ("env", "A=", "env filter"), ("isolate", "yes", "isolate"), ("link", "db", "did you mean org.oci-link.links?"),
            ("PORTS", "1", "did you mean org.oci-link.ports?"), ("nonsense", "x", "unknown key"),
        ] {
            let web = bundle(&host, false, "web").annotate("links", "db").annotate(key, value).build();
            assert!(web.prepare().refused(3).contains(word), "{key}");
            assert!(!web.run().succeeded(), "{key}");
        }
        let web = bundle(&host, false, "web").annotate("links", "db").annotate("links/web", "x").build();
        web.run().ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    }

    /// What oci-spec refuses and runtimes accept.
    fn h09_parts_that_no_link_needs(runtime) {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            let db = bundle(host, wrapped, "db").annotate("ports", "3306").build();
            db.create().ok();
            db.start().ok();
            for linked in [false, true] {
                let odd = |number: usize| {
                    let odd = bundle(host, wrapped, "odd").edit(|config| match number {
                        0 => config["process"]["user"] = json!({}),
                        1 => config["linux"]["resources"] = json!({ "pids": { "limit": 100 }, "devices": [{ "allow": true, "type": "a", "access": "rwm" }] }),
                        2 => config["process"]["capabilities"] = json!({ "bounding": ["CAP_KILL", "CAP_FUTURE"] }),
                        3 => config["process"]["scheduler"] = json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"] }),
                        _ => config["x-unknown"] = json!({ "a": [1, 2.5e300, null] }),
                    });
                    if linked { odd.annotate("links", "db").build() } else { odd.build() }
                };
                for number in 0..5 {
                    let odd = odd(number);
                    odd.prepare().ok();
                    odd.create().ok();
                    odd.start().ok();
                    if linked {
                        assert_eq!(odd.reach(&db, Proto::Tcp, 3306), OPEN, "{number}");
                    }
                    end(&odd);
                }
            }
            end(&db);
            host.assert_nothing_left();
        }
    }

    fn h10_config_json_is_a_symbolic_link(runtime) also youki {
        for (host, wrapped) in hosts(runtime).iter().zip([false, true]) {
            let db = bundle(host, wrapped, "db").annotate("ports", "3306").build();
            let web = bundle(host, wrapped, "web").annotate("links", "db").build();
            for container in [&db, &web] {
                let path = container.bundle().join("config.json");
                fs::rename(&path, container.bundle().join("elsewhere")).expect("moved");
                symlink("elsewhere", &path).expect("linked");
                container.create().ok();
                container.start().ok();
                assert!(path.is_symlink(), "the link stays");
            }
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            if wrapped {
                assert!(web.environ().iter().any(|entry| entry.starts_with("DB_PORT=")));
            }
            web.prepare().ok();
            let written = fs::read_to_string(web.bundle().join("elsewhere")).expect("readable");
            assert!(written.contains("DB_PORT="), "{written}");
            end(&web);
            end(&db);
            host.assert_nothing_left();
        }
    }

    /// The wrapper would give it hooks, and cannot. It is not needed for a start.
    fn h11_a_read_only_bundle(runtime) also youki {
        let host = Host::isolated(runtime).wrapped();
        for detached in [false, true] {
            let web = host.container("web").build();
            let frozen = ReadOnly::mount(web.bundle());
            if detached {
                web.run().ok();
            } else {
                web.create().ok();
                web.start().ok();
                assert_eq!(ls(&host).len(), 1);
            }
            end(&web);
            drop(frozen);
            host.assert_nothing_left();
        }
        let db = host.container("db").annotate("ports", "3306").build();
        db.create().ok();
        db.start().ok();
        let web = host.container("web").annotate("links", "db").build();
        let _frozen = ReadOnly::mount(web.bundle());
        let complaint = web.create().refused(3);
        assert!(complaint.contains("config.json"), "{complaint}");
    }
}

/// A bundle on a read-only mount, until it is dropped. Its root filesystem can be written.
struct ReadOnly(std::path::PathBuf);

impl ReadOnly {
    fn mount(bundle: &std::path::Path) -> Self {
        use nix::mount::{MsFlags, mount};
        let none: Option<&str> = None;
        mount(Some(bundle), bundle, none, MsFlags::MS_BIND, none).expect("root may mount");
        let frozen = Self(bundle.to_owned());
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, bundle, none, flags, none).expect("root may mount");
        frozen
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
