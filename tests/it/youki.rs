//! What youki does otherwise than runc and crun: when it runs hooks, how it shows what a hook complains
//! about, its own options. What all runtimes have in common is `also youki` in the other files.

use crate::{
    cast::{end, ls, permissions, source},
    support::{Host, OCI_LINK, OPEN, Outcome, Proto, Runtime, SHUT},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

/// What the createRuntime hook says of a link to a container that is not there.
const MISSING: &str = "oci-link: could not get container for db: No such container: db\n";

/// Whether youki knows a container with this id.
fn is_there(host: &Host, id: &str) -> bool {
    host.run(&mut host.runtime(&["state", id])).succeeded()
}

/// `words` with youki alone.
fn alone(host: &Host, words: &[&str]) -> Outcome {
    let mut youki = Command::new("youki");
    host.run(youki.arg("--root").arg(host.path("root")).args(words))
}

/// A script as a hook, which tells stage and state, and how many lines of the hosts file in `bundle`
/// name db.
fn teller(stage: &str, told: &str, bundle: &str) -> Value {
    let script =
        format!("echo {stage} $(grep -c '\tdb' {bundle}/rootfs/etc/hosts) $(cat) >>{told}; exit 0");
    json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] })
}

/// prestart too is run, at its place. createRuntime finds the container `creating`, with its process.
#[test]
#[ignore = "needs youki: make test-youki"]
fn hooks_run_in_the_order_of_the_specification() {
    let host = Host::isolated(Runtime::Youki);
    let db = source(&host, "db", "3306");
    let told = host.path("told").display().to_string();
    let bundle = host.path("bundles/web").display().to_string();
    let web = host.container("web").annotate("links", "db").hooks().edit(|config| {
        for stage in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
            let mut hooks = vec![teller(stage, &told, &bundle)];
            if let Some(ours) = config["hooks"][stage].as_array() {
                hooks.extend(ours.clone());
                hooks.push(teller(stage, &told, &bundle));
            }
            config["hooks"][stage] = hooks.into();
        }
    });
    let web = web.build();
    web.create().ok();
    let pid = web.state()["pid"].clone();
    web.start().ok();
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    end(&web);
    let told = fs::read_to_string(told).expect("the hooks ran");
    let steps: Vec<_> = told
        .lines()
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().expect("three words");
            let (stage, lines, state) = (word(), word(), word());
            let state: Value = serde_json::from_str(state).expect("the state is JSON");
            assert_eq!((&state["id"], &state["bundle"]), (&json!("web"), &json!(bundle)));
            assert_eq!(state["annotations"]["org.oci-link.links"], "db");
            if stage != "createContainer" {
                assert_eq!(state["pid"], pid, "{line}");
            }
            format!("{stage} {lines} {}", state["status"].as_str().expect("a status"))
        })
        .collect();
    let expected = [
        "prestart 0 creating",
        "createRuntime 0 creating",
        "createRuntime 2 creating",
        "createContainer 2 creating",
        "poststart 2 running",
        "poststop 2 stopped",
        "poststop 0 stopped",
    ];
    assert_eq!(steps, expected);
    end(&db);
    host.assert_nothing_left();
}

/// The hook's line comes first, as it is; youki adds the exit status of the hook, and ends the container.
#[test]
#[ignore = "needs youki: make test-youki"]
fn a_refusal_of_the_hook_is_shown() {
    let host = Host::isolated(Runtime::Youki);
    for (key, value, line, code) in [
        ("links", "db", MISSING, 4),
        ("links", "db:a#b", "oci-link: ", 3),
        ("nonsense", "x", "oci-link: ", 3),
    ] {
        let web = host.container("web").annotate("links", "db").annotate(key, value);
        let web = web.hooks().build();
        let file = web.bundle().join("rootfs/etc/hosts");
        let before = fs::read(&file).expect("rootfs has one");
        for (runs, status) in [(false, 1), (true, 255)] {
            let said = if runs { web.run() } else { web.create() }.refused(status);
            assert!(said.starts_with(line), "{said}");
            let why = format!("hook command exited with non-zero exit code: {code}");
            assert!(said.contains(&why), "{said}");
            assert!(!is_there(&host, "web"), "{key}");
            assert_eq!(fs::read(&file).expect("still there"), before);
            host.assert_nothing_left();
        }
    }
    // With its source, it starts.
    let db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db").hooks().build();
    web.run().ok();
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    [&web, &db].into_iter().for_each(end);
    host.assert_nothing_left();
}

/// A failed createRuntime hook of another program, behind ours: youki runs no poststop hook then.
#[test]
#[ignore = "needs youki: make test-youki"]
fn a_start_that_fails_after_our_hook_leaves_nothing_for_long() {
    for wrapped in [false, true] {
        let host = Host::isolated(Runtime::Youki);
        let host = if wrapped { host.wrapped() } else { host };
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db").hooks().edit(|config| {
            let hooks = config["hooks"]["createRuntime"].as_array_mut().expect("ours");
            hooks.push(json!({ "path": "/bin/false" }));
        });
        let web = web.build();
        let _ = web.run().refused(255);
        assert_ne!(permissions(&host), [""; 0], "no poststop hook has run");
        if wrapped {
            // An engine asks for the state, and our part of that is done although youki knows nothing.
            assert!(!is_there(&host, "web"));
        } else {
            host.run(&mut host.oci_link(&["gc"])).ok();
        }
        assert_eq!(permissions(&host), [""; 0]);
        assert_eq!(ls(&host).len(), 1);
        // As engines do after a start that failed.
        web.delete_by_force().ok();
        end(&db);
        host.assert_nothing_left();
    }
}

/// A control group below that of the container keeps youki from removing it, and from all that it does
/// after that.
#[test]
#[ignore = "needs youki: make test-youki"]
fn a_delete_that_fails() {
    for wrapped in [false, true] {
        let host = Host::isolated(Runtime::Youki);
        let host = if wrapped { host.wrapped() } else { host };
        let db = source(&host, "db", "3306");
        let web = host.container("web").annotate("links", "db");
        let web = if wrapped { web } else { web.hooks() }.build();
        web.create().ok();
        web.start().ok();
        let groups = groups(web.netns().name());
        let below: Vec<_> = groups.iter().map(|group| group.join("below")).collect();
        for below in &below {
            fs::create_dir(below).expect("root may");
        }
        web.kill();
        let said = web.delete().refused(1);
        assert!(said.contains("failed to remove cgroup"), "{said}");
        assert!(is_there(&host, "web"));
        assert_eq!(permissions(&host).is_empty(), wrapped, "{:?}", permissions(&host));
        for below in &below {
            fs::remove_dir(below).expect("root may");
        }
        web.delete().ok();
        end(&db);
        host.assert_nothing_left();
    }
}

/// The control groups with this name, of all hierarchies that youki uses.
fn groups(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).expect("there").map(|entry| entry.expect("one").path());
    let real = hierarchies.filter(|path| !path.is_symlink());
    let mut groups: Vec<_> = real.map(|path| path.join(name)).collect();
    groups.push(root.join(name));
    groups.retain(|group| group.is_dir());
    assert!(!groups.is_empty(), "{name}");
    groups
}

/// `-r`, `-l`, `-b` and `-p` as clap takes them.
#[test]
#[ignore = "needs youki: make test-youki"]
fn short_options_are_understood() {
    let host = Host::isolated(Runtime::Youki).wrapped();
    let db = host.container("db").annotate("ports", "3306").build();
    let web = host.container("web").annotate("links", "db").build();
    let [root, log, pid] = ["root", "youki.log", "pid"].map(|name| host.path(name));
    let run = |words: &[&str]| {
        let mut command = host.oci_link(&["runtime", "-r"]);
        host.run(command.arg(&root).arg("-l").arg(&log).args(words)).ok()
    };
    let pid = pid.display().to_string();
    for (id, container) in [("db", &db), ("web", &web)] {
        let bundle = container.bundle().display().to_string();
        run(&["create", "-b", &bundle, "-p", &pid, id]);
        run(&["start", id]);
    }
    assert_eq!(fs::read_to_string(&pid).expect("written"), web.state()["pid"].to_string());
    assert!(web.environ().contains(&format!("DB_PORT=tcp://{}:3306", db.addresses()[0])));
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
    let file = host.path("process.json");
    let process = json!({
        "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["env"], "env": ["PATH=/bin"],
    });
    fs::write(&file, process.to_string()).expect("written");
    let said = run(&["exec", "-p", &file.display().to_string(), "web"]);
    assert!(said.contains("DB_PORT=tcp://"), "{said}");
    for id in ["web", "db"] {
        run(&["delete", "-f", id]);
    }
    host.assert_nothing_left();
}

/// youki writes `stopped` into its state file with each signal, whatever it does.
#[test]
#[ignore = "needs youki: make test-youki"]
fn a_signal_that_ends_nothing_ends_no_link() {
    let host = Host::isolated(Runtime::Youki).wrapped();
    let db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db");
    let web = web.script("trap : USR1; echo >/ready; while :; do sleep 1; done").build();
    web.run().ok();
    let ready = web.bundle().join("rootfs/ready");
    crate::support::patiently(std::io::ErrorKind::NotFound, || fs::metadata(&ready))
        .expect("the trap is set");
    host.run(&mut host.runtime(&["kill", "web", "USR1"])).ok();
    assert_eq!(web.state()["status"], "running");
    host.run(&mut host.runtime(&["list"])).ok();
    assert_eq!(ls(&host).len(), 2);
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    host.run(&mut host.runtime(&["kill", "web", "KILL"])).ok();
    web.delete_by_force().ok();
    end(&db);
    host.assert_nothing_left();
}

#[test]
#[ignore = "needs youki: make test-youki"]
fn the_name_it_is_called_by_names_it() {
    let host = Host::isolated(Runtime::Youki);
    let link = host.path("oci-link-youki");
    symlink(OCI_LINK, &link).expect("linked");
    let version = host.run(Command::new(&link).arg("--version")).ok();
    assert_eq!(version, alone(&host, &["--version"]).ok());
    assert!(version.contains("0.7."), "{version}");
}

/// Each step of an unlinked container, with youki alone and through us, also if we are broken.
#[test]
#[ignore = "needs youki: make test-youki"]
fn an_unlinked_container_lives_as_without_us() {
    for broken in ["nothing", "config.toml", "the state directory"] {
        let host = Host::isolated(Runtime::Youki).wrapped();
        match broken {
            "config.toml" => {
                let good = fs::read_to_string(host.path("config.toml")).expect("written");
                fs::write(host.path("config.toml"), format!("x = 1\n{good}")).expect("written");
            }
            "the state directory" => {
                fs::remove_dir(host.state_dir()).expect("empty");
                fs::write(host.state_dir(), "").expect("written");
            }
            _ => {}
        }
        let web = host.container("web").env("COLOUR=green").annotate("name", "a b").build();
        let config = fs::read(web.bundle().join("config.json")).expect("there");
        let bundle = web.bundle().display().to_string();
        let steps: [&[&str]; 11] = [
            &["create", "--bundle", &bundle, "web"],
            &["create", "--bundle", &bundle, "web"],
            &["start", "web"],
            &["start", "web"],
            &["exec", "web", "env"],
            &["delete", "web"],
            &["kill", "web", "KILL"],
            &["delete", "--force", "web"],
            &["delete", "web"],
            &["run", "--detach", "--bundle", &bundle, "web"],
            &["delete", "--force", "web"],
        ];
        let [by_youki, by_us] = [false, true].map(|wrapped| {
            steps.map(|words| {
                let mut ours = host.runtime(words);
                let outcome = if wrapped { host.run(&mut ours) } else { alone(&host, words) };
                (words, outcome.succeeded(), lines(&outcome.said()))
            })
        });
        assert_eq!(by_youki, by_us, "{broken}");
        let succeeded = by_us.iter().filter(|(_, succeeded, _)| *succeeded).count();
        assert_eq!(succeeded, 7, "{by_us:?}");
        assert!(by_us[4].2.contains(&"COLOUR=green".to_owned()), "{:?}", by_us[4]);
        assert_eq!(fs::read(web.bundle().join("config.json")).expect("there"), config);
    }
}

/// The lines of a message without their order: youki's `exec` shuffles variables.
fn lines(said: &str) -> Vec<String> {
    let mut lines: Vec<_> = said.lines().map(String::from).collect();
    lines.sort_unstable();
    lines
}
