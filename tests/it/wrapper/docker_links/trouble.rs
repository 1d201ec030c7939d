//! Whatever is wrong with a link of Docker's, or with us, its container starts.

use super::*;
use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

each_runtime! {
    fn no_link_of_docker_refuses_a_start(runtime) {
        let host = Host::open(runtime).wrapped();
        let _db = db(&host);
        for (at, wrong) in ["a:b:c", "", "db:localhost", "db:web", "db:a b", "web:x", "nobody:x"]
            .into_iter()
            .enumerate()
        {
            let before = warnings(&host).len();
            let web = bundle(&host, "web", &on_bridge(&[wrong, "db:ok"]), "").build();
            let web = starts(web);
            assert_eq!(with_prefix(&web, "OK_").len(), 7, "{wrong}");
            assert!(links(&host, "web").contains(&"ok docker ready".to_owned()), "{wrong}");
            let said = warnings(&host).len() - before;
            assert_eq!(said, 1, "{at} {wrong}: {:?}", warnings(&host));
            end(&web);
        }
        let before = warnings(&host).len();
        let many: Vec<String> = (0..4097).map(|n| format!("db:a{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let web = starts(bundle(&host, "web", &on_bridge(&many), "").build());
        assert!(links(&host, "web").is_empty());
        assert_eq!(warnings(&host).len() - before, 1);
        end(&web);
        // Of two sources with one alias, the first.
        let _db2 = starts(bundle(&host, "db2", &on_bridge(&[]), "").build());
        let web = starts(bundle(&host, "web", &on_bridge(&["db:m", "db2:m"]), "").build());
        assert_eq!(inspect(&host, &id("web"))["links"][0]["source"], "db");
        end(&web);
        let none = Files { mode: "none", ..on_bridge(&["db:x"]) };
        let before = warnings(&host).len();
        let _web = starts(bundle(&host, "web", &none, "").build());
        assert!(links(&host, "web").is_empty());
        assert_eq!(warnings(&host).len(), before);
    }

    fn files_of_docker_that_cannot_be_read_refuse_no_start(runtime) {
        let host = Host::open(runtime).wrapped();
        let _db = db(&host);
        let too_large = format!(r#"{{"Links":["db"],"x":"{}"}}"#, "x".repeat(5 << 20));
        for wrong in [
            "", "x", "[]", r#"{"Links":{}}"#, r#"{"Links":"db"}"#, r#"{"Links":[1]}"#, &too_large, "DIR",
            "LINK", "FIFO", "NONE",
        ] {
            let before = warnings(&host).len();
            let web = bundle(&host, "web", &on_bridge(&["db:mysql"]), "").build();
            let file = directory(&host, "web").join("hostconfig.json");
            let elsewhere = directory(&host, "web").join("elsewhere");
            match wrong {
                "DIR" | "LINK" | "FIFO" | "NONE" => {
                    fs::rename(&file, &elsewhere).expect("renamed");
                    match wrong {
                        "DIR" => fs::create_dir(&file).expect("made"),
                        "LINK" => std::os::unix::fs::symlink("elsewhere", &file).expect("made"),
                        "FIFO" => _ = host.run(Command::new("mkfifo").arg(&file)).ok(),
                        _ => {}
                    }
                }
                text => fs::write(&file, text).expect("written"),
            }
            let web = starts(web);
            let shown = &wrong[..wrong.len().min(20)];
            assert!(links(&host, "web").is_empty(), "{shown}");
            let said: Vec<String> = warnings(&host)[before..].to_vec();
            assert_eq!(said.len(), 1, "{shown}: {said:?}");
            assert!(said[0].contains("left out"), "{said:?}");
            end(&web);
            let _ = fs::remove_dir_all(directory(&host, "web"));
        }
    }

    /// Whatever is wrong with us, the container starts.
    fn a_link_of_docker_never_delays_or_refuses_for_our_reasons(runtime) {
        let host = Host::open(runtime).wrapped();
        let _db = db(&host);
        let lock = host.state_dir().join("lock");
        assert!(lock.exists(), "the host lock has another name");
        let mut holder = host
            .spawn(Command::new("flock").arg("--no-fork").arg(&lock).args(["sleep", "60"]))
            .expect("flock starts");
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        let web = starts(bundle(&host, "web", &on_bridge(&["db:mysql"]), "").build());
        let took = begun.elapsed();
        holder.kill().expect("killed");
        holder.wait().expect("waited for");
        assert!(took < Duration::from_secs(10), "{took:?}");
        host.run(&mut host.oci_link(&["sync"])).ok();
        assert_eq!(links(&host, "web"), ["mysql docker ready"]);
        assert_eq!(lines_with(&web.hosts(), "mysql").len(), 2);
        configured(&host, "nonsense = 1");
        let api = bundle(&host, "api", &on_bridge(&["db:mysql"]), "").build();
        api.create().ok();
        api.start().ok();
    }
}
