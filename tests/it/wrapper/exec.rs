//! `exec --process FILE`: the process gets the link variables of its container, and nothing else is
//! different.

use crate::cast::end;
use crate::support::{Container, Host, Outcome, Runtime, each_runtime};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A host with `web`, which is linked to `db` as `mysql`: twelve variables.
fn linked(host: &Host) -> [Container<'_>; 2] {
    let db = host.container("db").annotate("ports", "3306,7000/udp");
    let db = db.env("COLOUR=green").env("DATABASE=shop").build();
    let web = host.container("web").annotate("links", "db:mysql").build();
    for container in [&db, &web] {
        container.create().ok();
        container.start().ok();
    }
    [db, web]
}

/// The description of a process that runs a shell's `script`.
fn process(script: &str, env: &[&str]) -> Value {
    let env = [&["PATH=/bin"], env].concat();
    json!({
        "user": { "uid": 0, "gid": 0 },
        "cwd": "/",
        "args": ["sh", "-c", script],
        "env": env,
    })
}

fn write(host: &Host, text: &str) -> PathBuf {
    let file = host.path("process.json");
    fs::write(&file, text).expect("written");
    file
}

/// `exec` with `words` before the id, by the wrapper.
fn exec(host: &Host, words: &[&str], id: &str) -> Outcome {
    host.run(host.runtime(&["exec"]).args(words).arg(id))
}

/// The same command line without us.
fn plain(host: &Host, runtime: Runtime, words: &[&str], id: &str) -> Command {
    let mut command = Command::new(runtime.program());
    command.arg("--root").arg(host.path("root")).arg("exec").args(words).arg(id);
    command
}

/// The variables of the link in the output of `env`, sorted.
fn variables(output: &str) -> Vec<String> {
    let mut found: Vec<String> =
        output.lines().filter(|line| line.starts_with("MYSQL_")).map(String::from).collect();
    found.sort();
    found
}

fn of_first_process(web: &Container<'_>) -> Vec<String> {
    let all = variables(&web.environ().join("\n"));
    assert_eq!(all.len(), 12, "{all:?}");
    all
}

fn log(host: &Host) -> String {
    fs::read_to_string(host.path("log")).unwrap_or_default()
}

each_runtime! {
    fn every_form_of_the_file(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let [db, web] = linked(&host);
        let text = process("env", &["OWN=1"]).to_string();
        let file = write(&host, &text);
        let path = file.display();
        let mut forms = vec![
            format!("--process {path}"),
            format!("--process={path}"),
            format!("-p {path}"),
            format!("-e MYSQL_PORT=x --process {path}"),
        ];
        forms.extend(match runtime {
            Runtime::Runc => [format!("-process={path}"), format!("-p={path}")],
            _ => [format!("-p{path}"), format!("--no-new-privs -p{path}")],
        });
        for form in forms {
            let words: Vec<&str> = form.split(' ').collect();
            let said = exec(&host, &words, "web").ok();
            assert_eq!(variables(&said), of_first_process(&web), "{form}");
            assert!(said.contains("OWN=1\n"), "{form}: {said}");
            // Without us, none.
            let alone = host.run(&mut plain(&host, runtime, &words, "web")).ok();
            assert_eq!(variables(&alone), [""; 0], "{form}");
        }
        assert_eq!(fs::read_to_string(&file).expect("there"), text, "the engine's file");
        // A command line instead of a file: the runtime reads config.json itself.
        assert_eq!(variables(&web.exec(&["env"]).ok()), of_first_process(&web));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn what_the_process_sets_itself_wins(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let [_db, web] = linked(&host);
        let mut described = process("env", &["MYSQL_PORT=mine", "MYSQL_NAME="]);
        described["user"] = json!({ "uid": 1000, "gid": 1000 });
        let file = write(&host, &described.to_string());
        let said = exec(&host, &["--process", &file.display().to_string()], "web").ok();
        let found = variables(&said);
        assert_eq!(found.len(), 12, "{said}");
        assert!(found.contains(&"MYSQL_PORT=mine".to_owned()), "{said}");
        assert!(found.contains(&"MYSQL_NAME=".to_owned()), "{said}");
        let others = of_first_process(&web);
        let same = found.iter().filter(|entry| others.contains(entry)).count();
        assert_eq!(same, 10, "{said}");
        let all: Vec<&str> = said.lines().filter(|line| line.starts_with("MYSQL_PORT=")).collect();
        assert_eq!(all, ["MYSQL_PORT=mine"]);
    }

    /// The values are those that the container was created with, whatever its processes say.
    fn values_are_those_of_config_json(runtime) {
        let host = Host::open(runtime).wrapped();
        let [_db, web] = linked(&host);
        let config = web.bundle().join("config.json");
        let text = fs::read_to_string(&config).expect("there");
        fs::write(&config, text.replace("=/web/mysql", "=/changed")).expect("written");
        let file = write(&host, &process("env", &[]).to_string());
        let words = ["--process", &file.display().to_string()];
        let said = exec(&host, &words, "web").ok();
        assert!(said.contains("MYSQL_NAME=/changed\n"), "{said}");
        // crun has a copy of config.json.
        fs::remove_file(&config).expect("removed");
        let count = variables(&exec(&host, &words, "web").ok()).len();
        assert_eq!(count, if runtime == Runtime::Crun { 12 } else { 0 });
        fs::write(&config, text).expect("written");
        // Without a record nothing tells that it has links.
        fs::remove_dir_all(host.state_dir().join("records")).expect("removed");
        assert_eq!(variables(&exec(&host, &words, "web").ok()), [""; 0]);
    }

    fn other_options_keep_working(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let [_db, web] = linked(&host);
        let script = "env >/tmp/env; echo done >/tmp/done; sleep 600";
        let file = write(&host, &process(script, &[]).to_string()).display().to_string();
        let pid = host.path("exec.pid");
        let pid_file = pid.display().to_string();
        let words = ["--detach", "--pid-file", &pid_file, "--process", &file];
        exec(&host, &words, "web").ok();
        let done = web.bundle().join("rootfs/tmp/done");
        crate::support::patiently(std::io::ErrorKind::NotFound, || fs::metadata(&done))
            .expect("it runs");
        let said = fs::read_to_string(web.bundle().join("rootfs/tmp/env")).expect("written");
        assert_eq!(variables(&said), of_first_process(&web));
        let pid = fs::read_to_string(pid).expect("written");
        assert!(Path::new("/proc").join(pid.trim()).exists());
        let file = write(&host, &process("exit 7", &[]).to_string()).display().to_string();
        assert_eq!(exec(&host, &["-p", &file], "web").ended(7), "");
    }

    /// The process has the descriptors that the caller gives it, and no other.
    fn descriptors_are_those_of_the_caller(runtime) also youki {
        let host = Host::open(runtime).wrapped();
        let [_db, _web] = linked(&host);
        let script = "for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do \
                      [ -e /proc/self/fd/$fd ] && echo $fd; done; cat <&3";
        let file = write(&host, &process(script, &[]).to_string()).display().to_string();
        for (count, opened) in [
            ("0", ""),
            ("1", "3</proc/sys/kernel/ostype"),
            ("2", "3</proc/sys/kernel/ostype 4</etc/passwd"),
            ("1", "3</proc/sys/kernel/ostype 4</etc/passwd 7</etc/passwd"),
            ("4", "3</proc/sys/kernel/ostype 4</etc/passwd 5</etc/passwd 6</etc/passwd"),
            // Some of them are missing.
            ("2", "3</proc/sys/kernel/ostype"),
            ("9", "3</proc/sys/kernel/ostype 5</etc/passwd"),
        ] {
            let words = ["--preserve-fds", count, "--process", &file];
            let mut wrapped = host.runtime(&["exec"]);
            wrapped.args(words).arg("web");
            let said = [plain(&host, runtime, &words, "web"), wrapped].map(|command| {
                let close = "for fd in $(ls /proc/$$/fd); do \
                             [ $fd -lt 3 ] || eval \"exec $fd>&-\"; done; ";
                let mut caller = Command::new("bash");
                caller.args(["-c", &format!("{close} exec \"$@\" {opened}"), "bash"]);
                caller.arg(command.get_program()).args(command.get_args());
                without_times(&host.run(&mut caller).said())
            });
            assert_eq!(said[0], said[1], "{count} {opened}");
        }
    }

    /// What the runtime reads and we do not, and what it refuses, is passed on as it is.
    fn a_file_that_is_not_read_is_passed_on(runtime) {
        let host = Host::open(runtime).wrapped();
        let [_db, _web] = linked(&host);
        let usual = process("echo here; env", &[]);
        let mut large = usual.clone();
        large["env"] = json!(["PATH=/bin", format!("LARGE={}", "x".repeat(17 << 20))]);
        let doubled = usual.to_string().replacen('{', r#"{"env":["PATH=/bin","A=1"],"#, 1);
        let capitals = usual.to_string().replace("\"env\":", "\"Env\":");
        for (text, why) in [
            (large.to_string(), "more than 16777216 bytes"),
            (doubled, "occurs twice"),
            (capitals, "has \"Env\" and not \"env\""),
            ("{".to_owned(), "process of exec: "),
            (String::new(), "process of exec: "),
        ] {
            let file = write(&host, &text).display().to_string();
            let words = ["--process", &file];
            let alone = host.run(&mut plain(&host, runtime, &words, "web"));
            let (wrapped, expected) = (exec(&host, &words, "web"), alone.succeeded());
            assert_eq!(wrapped.succeeded(), expected, "{why}");
            assert_eq!(without_times(&wrapped.said()), without_times(&alone.said()), "{why}");
            let written = log(&host);
            let last = written.lines().last().unwrap_or_default();
            let begins = "web: exec starts a process without link variables: ";
            assert!(last.contains(begins) && last.contains(why), "no {why} in {written}");
        }
        let missing = host.path("none").display().to_string();
        assert!(!exec(&host, &["--process", &missing], "web").succeeded());
    }

    /// A FIFO and standard input can be read once, by the runtime.
    fn a_file_that_can_be_read_once(runtime) {
        let host = Host::open(runtime).wrapped();
        let [_db, _web] = linked(&host);
        let text = process("echo here", &[]).to_string();
        let stdin = ["--process", "/dev/stdin"];
        let mut command = plain(&host, runtime, &stdin, "web");
        let pipe = |command: &Command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "cat \"$0\" | \"$@\""]).arg(write(&host, &text));
            shell.arg(command.get_program()).args(command.get_args());
            host.run(&mut shell)
        };
        let alone = pipe(&command);
        let mut wrapped = host.runtime(&["exec"]);
        let wrapped = pipe(wrapped.args(stdin).arg("web"));
        assert_eq!(wrapped.succeeded(), alone.succeeded());
        assert_eq!(without_times(&wrapped.said()), without_times(&alone.said()));

        let fifo = host.path("fifo").display().to_string();
        let words = ["--process", &fifo];
        command = plain(&host, runtime, &words, "web");
        let mut wrapped = host.runtime(&["exec"]);
        wrapped.args(words).arg("web");
        let said = [&command, &wrapped].map(|command| {
            let mut shell = Command::new("sh");
            let script = "rm -f \"$1\"; mkfifo \"$1\"; cat \"$0\" >\"$1\" & shift; \
                          timeout 20 \"$@\"; status=$?; kill $! 2>/dev/null; exit $status";
            shell.args(["-c", script]).arg(write(&host, &text)).arg(&fifo);
            shell.arg(command.get_program()).args(command.get_args());
            let outcome = host.run(&mut shell);
            (outcome.succeeded(), without_times(&outcome.said()))
        });
        assert_eq!(said[0], said[1]);
        assert!(log(&host).contains("not a regular file"), "{}", log(&host));
    }

    /// The whole work for a container without links is one file that is looked for.
    fn a_container_without_links_costs_one_look(runtime) {
        let host = Host::open(runtime).wrapped();
        let [_db, _web] = linked(&host);
        let file = write(&host, &process("env", &[]).to_string()).display().to_string();
        let calls = |words: &[&str]| {
            let trace = host.path("trace");
            let mut strace = Command::new("strace");
            strace.args(["-qq", "-s", "4096", "-o"]).arg(&trace);
            let command = host.runtime(words);
            strace.arg(command.get_program()).args(command.get_args());
            host.run(&mut strace).ok();
            let trace = fs::read_to_string(trace).expect("strace wrote it");
            // From config.toml to the moment when the runtime takes over. Debug builds look at each
            // descriptor that they close.
            let begins = |line: &&str| line.contains("config.toml") && !line.starts_with("execve");
            let lines = trace.lines().skip_while(|line| !begins(line));
            let mut lines: Vec<&str> = lines.filter(|line| !line.contains("F_GETFD")).collect();
            let takes_over = |line: &&str| line.starts_with("execve(");
            let end = lines.iter().position(takes_over).expect("the runtime");
            lines.truncate(end + 1);
            lines.into_iter().map(String::from).collect::<Vec<String>>()
        };
        let other = calls(&["state", "db"]);
        let exec = calls(&["exec", "--process", &file, "db"]);
        let looks = |lines: &[String]| lines.iter().filter(|line| line.contains("open")).count();
        assert!(looks(&exec) <= looks(&other) + 1, "{exec:#?} {other:#?}");
        assert!(exec.len() <= other.len() + 4, "{exec:#?} {other:#?}");
        let line = exec.last().expect("the runtime");
        assert!(line.contains(&format!("\"--process\", \"{file}\", \"db\"]")), "{line}");
        let touched = exec.iter().filter(|line| line.contains("process.json"));
        assert_eq!(touched.count(), 1, "only in the command line: {exec:#?}");
        // With links there is a copy.
        let linked = calls(&["exec", "--process", &file, "web"]);
        let line = linked.last().expect("the runtime");
        assert!(line.contains("\"--process\", \"/proc/self/fd/"), "{line}");
    }

    /// A container that runs without a record, with a bad config.toml and without the state directory.
    fn exec_works_whatever_is_wrong_with_us(runtime) {
        let host = Host::open(runtime).wrapped();
        let [_db, web] = linked(&host);
        let file = write(&host, &process("env", &[]).to_string()).display().to_string();
        let words = ["--process", &file];
        let good = fs::read_to_string(host.path("config.toml")).expect("there");
        fs::write(host.path("config.toml"), format!("nonsense = 1\n{good}")).expect("written");
        assert_eq!(variables(&exec(&host, &words, "web").ok()), of_first_process(&web));
        fs::write(host.path("config.toml"), &good).expect("written");
        let config = web.bundle().join("config.json");
        let text = fs::read_to_string(&config).expect("there");
        for bad in ["", "{", &text.replace("\"env\"", "\"enw\"")] {
            fs::write(&config, bad).expect("written");
            exec(&host, &words, "web").ok();
        }
        fs::write(&config, &text).expect("written");
        for record in host.state_files().iter().filter(|file| file.ends_with("/web.json")) {
            fs::write(host.state_dir().join(record), "{").expect("written");
        }
        assert_eq!(variables(&exec(&host, &words, "web").ok()), [""; 0]);
    }

    /// With few descriptors, the runtime needs all: then the process has no variables.
    fn a_caller_that_may_open_few_files(runtime) {
        let host = Host::open(runtime).wrapped();
        let [_db, _web] = linked(&host);
        let file = write(&host, &process("echo here", &[]).to_string()).display().to_string();
        let words = ["--process", &file];
        let mut wrapped = host.runtime(&["exec"]);
        wrapped.args(words).arg("web");
        let passes = |limit: u32, command: &Command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
            shell.arg(command.get_program()).args(command.get_args());
            host.run(&mut shell).succeeded()
        };
        let alone = plain(&host, runtime, &words, "web");
        // runc hangs with a few less, also without us.
        for limit in [32, 63, 66, 128] {
            assert!(passes(limit, &alone) && passes(limit, &wrapped), "{limit}");
        }
        assert!(log(&host).contains("the limit of open files is too low"), "{}", log(&host));
    }
}

/// A message without what differs from call to call.
fn without_times(said: &str) -> String {
    let words = said.split_whitespace().filter(|word| !word.starts_with("time="));
    words.filter(|word| !word.starts_with("202")).collect::<Vec<_>>().join(" ")
}
