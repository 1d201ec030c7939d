//! The program without a cluster: its command line, its exit statuses, and systemd.

use crate::pki::Pki;
use crate::wait::{seconds, until};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A directory with a spool, which is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().canonicalize().expect("a directory");
        let path = path.join(format!("oci-link-cluster-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("spool")).expect("a directory");
        let mode = Permissions::from_mode(0o750);
        fs::set_permissions(path.join("spool"), mode).expect("a mode");
        Self(path)
    }

    /// Writes config.toml, with certificates and an endpoint where nothing listens.
    fn configure(&self) {
        let pki = Pki::new(&self.0);
        pki.sign("a", 30);
        let directory = self.0.display();
        let text = format!(
            "[cluster]\nname = \"a\"\nnetworks = {{ a = [\"10.10.0.0/16\"] }}\n\
             endpoints = [\"https://127.0.0.1:1\"]\nca = \"{directory}/ca.pem\"\n\
             cert = \"{directory}/a.pem\"\nkey = \"{directory}/a.key\"\n"
        );
        fs::write(self.0.join("config.toml"), text).expect("config.toml");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oci-link-cluster"));
        command.args(words).arg("--config").arg(self.0.join("config.toml"));
        command.arg("--spool").arg(self.0.join("spool")).stdin(Stdio::null());
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks the status, and that the error is one line that contains `part`.
fn assert_fails(output: &Output, status: i32, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.starts_with("oci-link-cluster: ") && said.lines().count() == 1, "{said}");
    assert!(said.contains(part), "{part}: {said}");
}

#[test]
fn what_is_wrong_ends_with_its_status() {
    let place = Place::new("status");
    let run = |words: &[&str]| place.command(words).output().expect("the program");
    assert_fails(&run(&["walk"]), 2, "unknown argument \"walk\"");
    assert_fails(&run(&[]), 2, "no command");
    assert_fails(&run(&["run"]), 3, "config.toml: No such file");
    assert_fails(&run(&["status"]), 10, "no courier runs");
    fs::write(place.0.join("config.toml"), "[firewall]\nbackend = \"auto\"\n").expect("a file");
    assert_fails(&run(&["run"]), 3, "no table [cluster]");
    let table = "[cluster]\nname = \"a\"\nnetworks = { a = [\"10.10.0.0/16\"] }\n";
    fs::write(place.0.join("config.toml"), table).expect("a file");
    assert_fails(&run(&["run"]), 3, "endpoints, ca, cert and key are needed");
    let keys = "endpoints = [\"https://h\"]\nca = \"/no/ca\"\ncert = \"/no/c\"\nkey = \"/no/k\"\n";
    fs::write(place.0.join("config.toml"), table.to_owned() + keys).expect("a file");
    assert_fails(&run(&["check"]), 3, "/no/ca: No such file");
    fs::remove_dir(place.0.join("spool")).expect("removed");
    assert_fails(&run(&["status"]), 10, "spool: No such file");
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: oci-link-cluster"));
}

/// It is ready at once, goes on without a cluster, and a second one does not disturb it.
#[test]
#[ignore = "needs openssl: make test-cluster"]
fn it_runs_without_a_cluster_and_tells_systemd() {
    let place = Place::new("systemd");
    place.configure();
    let manager = UnixDatagram::bind(place.0.join("notify")).expect("a socket");
    manager.set_read_timeout(Some(seconds(10))).expect("a timeout");
    let mut command = place.command(&["run"]);
    command.env("NOTIFY_SOCKET", place.0.join("notify")).stderr(Stdio::null());
    let mut courier = command.spawn().expect("the program");
    let receive = |wanted: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = manager.recv(&mut buffer).expect(wanted);
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    };
    receive("READY=1");
    let status = receive("STATUS=etcd https://127.0.0.1:1");
    assert!(status.contains("Connection refused"), "{status}");
    let view = || fs::read_to_string(place.0.join("spool/view")).unwrap_or_default();
    let expected = r#""fresh_ms":null,"by":"etcd rev 0","published":false,"problem":"etcd "#;
    until("a view", seconds(5), || view().contains(expected), view);
    let second = place.command(&["run"]).output().expect("the program");
    assert_fails(&second, 10, "another oci-link-cluster runs with it");
    let told = place.command(&["status"]).output().expect("the program");
    assert_fails(&told, 10, "etcd https://127.0.0.1:1: Connection refused");

    Command::new("kill").arg(courier.id().to_string()).status().expect("kill");
    receive("STOPPING=1");
    assert_eq!(courier.wait().expect("an end").code(), Some(0));
    assert!(view().contains(expected), "{}", view());
}
