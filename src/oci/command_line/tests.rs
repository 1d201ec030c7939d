//! Command line forms that runc, crun and youki document.
//!
//! Taken from `--help` of runc 1.1 and 1.3 and of crun 1.8 and 1.21, and from youki's liboci-cli.

use super::*;

fn parsed(line: &str) -> CommandLine {
    let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    CommandLine::parse(&arguments)
}

fn creation(id: &str, bundle: &str) -> Creation {
    Creation { id: id.into(), bundle: bundle.into(), config: None }
}

#[test]
fn bundles_in_every_form() {
    for line in [
        "create --bundle /b c1",
        "create --bundle=/b c1",
        "create -b /b c1",
        "create -b=/b c1",
        "create -b/b c1",
        "create -bundle /b c1",
        "create -bundle=/b c1",
        "create --bund /b c1",
        "create --bund=/b c1",
        "create c1 --bundle /b",
        "create c1 -b/b",
        "create -b /b -- c1",
        "create --bundle /x --bundle /b c1",
    ] {
        assert_eq!(parsed(line).action, Action::Create(creation("c1", "/b")), "{line}");
    }
    for line in ["run -d -b /b c1", "run -db /b c1", "run -db/b c1", "run --detach c1 -b /b"] {
        assert_eq!(parsed(line).action, Action::Run(creation("c1", "/b")), "{line}");
    }
    assert_eq!(parsed("run -d c1").action, Action::Run(creation("c1", ".")));
    assert_eq!(parsed("create -b/a=b c1").action, Action::Create(creation("c1", "/a=b")));
    assert_eq!(parsed("create --bundle=/a=b c1").action, Action::Create(creation("c1", "/a=b")));
    // The argument after an option that takes a value is always its value.
    assert_eq!(parsed("create -b -- c1").action, Action::Create(creation("c1", "--")));
    assert_eq!(parsed("create -- -b").action, Action::Create(creation("-b", ".")));
}

/// Tries every option of every runtime's `create` and `run`, one at a time.
///
/// No option may take the id for its value, or its value for the id.
#[test]
fn options_of_create_and_run() {
    for option in [
        // runc, crun
        "--console-socket /s",
        "--console-socket=/s",
        "--pid-file /p",
        "--pid-file=/p",
        "-pid-file /p",
        "--no-pivot",
        "-no-pivot",
        "--no-new-keyring",
        "-no-new-keyring",
        "--preserve-fds 3",
        "--preserve-fds=3",
        "-preserve-fds=3",
        // runc
        "--pidfd-socket /s",
        "--keep",
        "-keep",
        "--no-subreaper",
        "-no-subreaper",
        "--detach",
        "-detach",
        "-d",
        // crun
        "--pid /p",
        "--pres 3",
        "--cons=/s",
        // youki
        "-c /s",
        "-p /p",
    ] {
        for (line, expected) in [
            (format!("create {option} --bundle /b c1"), Action::Create(creation("c1", "/b"))),
            (format!("create --bundle /b {option} c1"), Action::Create(creation("c1", "/b"))),
            (format!("run --bundle /b c1 {option}"), Action::Run(creation("c1", "/b"))),
        ] {
            assert_eq!(parsed(&line).action, expected, "{line}");
        }
    }
}

/// Tries every option of every runtime that may precede the command.
#[test]
fn options_before_the_command() {
    for option in [
        // runc, crun
        "--debug",
        "-debug",
        "--log /l",
        "--log=/l",
        "-log /l",
        "--log-format json",
        "--log-format=text",
        "--root /r",
        "--root=/r",
        "-root=/r",
        "--systemd-cgroup",
        "-systemd-cgroup",
        "--rootless auto",
        "--rootless=true",
        // runc
        "--criu /usr/sbin/criu",
        // crun
        "--cgroup-manager systemd",
        "--cgroup-manager=cgroupfs",
        "--cgroup-m=cgroupfs",
        "--log-level debug",
        // youki
        "-r /r",
        "-l /l",
        "-s",
    ] {
        let line = format!("{option} start c1");
        assert_eq!(parsed(&line).action, Action::Start("c1".into()), "{line}");
        assert_eq!(parsed(&line).globals, option.split(' ').count(), "{line}");
    }
}

#[test]
fn what_is_told_before_the_command() {
    let line = parsed("--root=/r -log /l --log-format json --rootless auto start c1");
    assert_eq!((line.root, line.log, line.json_log), (Some("/r".into()), Some("/l".into()), true));
    let line = parsed("--root start --log=/l --log-format=text start c1");
    assert_eq!((line.root, line.globals), (Some("start".into()), 4));
    assert_eq!((line.log, line.json_log), (Some("/l".into()), false));
    let line = parsed("start --root /r");
    assert_eq!(line.root, None, "behind the command it is another's");
}

/// crun looks for another configuration in its working directory, and for config.json in the
/// bundle.
#[test]
fn other_configurations() {
    for (line, expected) in [
        ("run -f c.json -b /b c1", "c.json"),
        ("run --config=/c.json -b /b c1", "/c.json"),
        ("run --config /c.json c1", "/c.json"),
        ("run -fc.json -b /b c1", "c.json"),
        ("run -f config.json -b /b c1", "/b/config.json"),
        ("run -b /b c1", "/b/config.json"),
        ("run c1", "./config.json"),
    ] {
        let Action::Run(creation) = parsed(line).action else { panic!("{line}") };
        assert_eq!(
            (creation.id.as_os_str(), creation.config_file()),
            ("c1".as_ref(), expected.into())
        );
    }
}

#[test]
fn starts_states_and_ends() {
    assert_eq!(parsed("start c1").action, Action::Start("c1".into()));
    assert_eq!(parsed("start -- c1").action, Action::Start("c1".into()));
    for line in ["state c1", "--root /r state c1", "--log=/l state -- c1"] {
        assert_eq!(parsed(line).action, Action::State("c1".into()), "{line}");
    }
    for line in [
        "delete c1",
        "delete --force c1",
        "delete -force c1",
        "delete -f c1",
        "delete c1 -f",
        "delete --force -- c1",
        "delete --regex c1",
        "delete -rf c1",
    ] {
        assert_eq!(parsed(line).action, Action::Delete("c1".into()), "{line}");
    }
}

/// A request for help or the version does nothing else.
#[test]
fn questions() {
    for command in ["create -b /b c1", "run c1", "start c1", "delete c1"] {
        for question in ["-h", "--help", "-help", "-?", "--usage", "-v", "-V", "--version"] {
            let line = format!("{question} {command}");
            assert_eq!(parsed(&line).action, Action::Other, "{line}");
        }
        let (command, rest) = command.split_once(' ').unwrap();
        for question in ["-h", "--help", "-help", "-?", "--usage"] {
            for line in
                [format!("{command} {question} {rest}"), format!("{command} {rest} {question}")]
            {
                assert_eq!(parsed(&line).action, Action::Other, "{line}");
            }
        }
    }
    assert_eq!(parsed("run -dh c1").action, Action::Other);
}

#[test]
fn what_is_not_ours() {
    for line in [
        "",
        "--version",
        "-v",
        "help create",
        "h start",
        "checkpoint --image-path /i c1",
        "create",
        "delete",
        "events --stats c1",
        "exec -t c1 create --bundle /b c2",
        "exec c1 sh -c env",
        "exec -e A=b c1 env --process /p",
        "exec c1 --process /p",
        "exec --process /p",
        "exec --process",
        "exec --process= c1 env",
        "exec --process /p --preserve-fds many c1",
        "exec --process /p --preserve-fds -1 c1",
        "exec --help --process /p c1",
        "features",
        "kill c1 KILL",
        "kill --all c1 start",
        "list",
        "list --format json",
        "pause c1",
        "ps c1",
        "restore --bundle /b c1",
        "resume c1",
        "run",
        "run -b /b",
        "spec --bundle /b",
        "start",
        "state",
        "state --help c1",
        "update --memory 1 c1",
        "--root create",
        "--root /r",
        "--log start features",
        "-- ",
    ] {
        assert_eq!(parsed(line).action, Action::Other, "{line}");
    }
}

/// The file of `exec` in every form, and the command line with another file in its place.
#[test]
fn processes_in_every_form() {
    for (form, changed) in [
        ("--process /p", "--process /new"),
        ("--process=/p", "--process=/new"),
        ("-process /p", "-process /new"),
        ("-process=/p", "-process=/new"),
        ("--proces=/p", "--proces=/new"),
        ("-p /p", "-p /new"),
        ("-p=/p", "-p=/new"),
        ("-p/p", "-p/new"),
        ("-dp /p", "-dp /new"),
        ("-dtp/p", "-dtp/new"),
        ("--process /x --process /p", "--process /x --process /new"),
        ("-e --process -p /p", "-e --process -p /new"),
        ("--process /p --", "--process /new --"),
    ] {
        for (before, behind) in [
            ("exec", "c1"),
            ("--root /p --log=/p exec", "c1 /p -p /p"),
            ("-- exec -d --pid-file /p", "c1"),
            ("exec --tty --cwd /p -u 1:1 -c CAP_KILL --no-new-privs", "c1 sh -p /p"),
        ] {
            if form.ends_with("--") && before.starts_with("--") {
                continue;
            }
            let line = format!("{before} {form} {behind}");
            let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let Action::Exec(exec) = CommandLine::parse(&arguments).action else {
                panic!("{line}")
            };
            assert_eq!(
                (exec.id.to_str(), exec.process.to_str()),
                (Some("c1"), Some("/p")),
                "{line}"
            );
            assert_eq!(exec.is_in_gos_form, form == "-p=/p", "{line}");
            let new = exec.with_process(&arguments, Path::new("/new"));
            let new: Vec<_> = new.iter().map(|word| word.to_string_lossy()).collect();
            assert_eq!(new.join(" "), format!("{before} {changed} {behind}"));
        }
    }
}

/// Tries every option of every runtime's `exec`, before and behind the file.
#[test]
fn options_of_exec() {
    for option in [
        // runc, crun
        "--console-socket /s",
        "--cwd /",
        "--cwd=/",
        "--env A=b",
        "-e A=b",
        "--tty",
        "-t",
        "-tty",
        "--tty=false",
        "--user 1",
        "-u 1",
        "--detach",
        "-d",
        "--pid-file /x",
        "--process-label x",
        "--process-label=x",
        "--apparmor x",
        "--no-new-privs",
        "-no-new-privs",
        "--cap CAP_KILL",
        "-c CAP_KILL",
        "--cgroup x",
        // runc
        "--pidfd-socket /s",
        "--additional-gids 1",
        "-g 1",
        "--ignore-paused",
        "-ignore-paused",
        // crun
        "-u1",
        "-eA=b",
        "--additional 1",
    ] {
        for line in
            [format!("exec {option} --process /p c1"), format!("exec --process /p {option} c1")]
        {
            let Action::Exec(exec) = parsed(&line).action else { panic!("{line}") };
            assert_eq!(
                (exec.id.to_str(), exec.process.to_str()),
                (Some("c1"), Some("/p")),
                "{line}"
            );
            assert_eq!(exec.preserved, 0, "{line}");
        }
    }
    for option in ["--preserve-fds 3", "--preserve-fds=3", "-preserve-fds=3", "--pres 3"] {
        let Action::Exec(exec) = parsed(&format!("exec {option} -p /p c1")).action else {
            panic!("{option}")
        };
        assert_eq!(exec.preserved, 3, "{option}");
    }
}
