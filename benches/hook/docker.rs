//! `docker start` under a real dockerd with `icc=false`: Docker's own `--link` with plain runc, and
//! our link with our wrapper, in turns, asked for over the same socket.

use crate::{
    machine::{Debian, Machine, SID, wait_until},
    place::Place,
    report::{Report, Target},
    sample::Series,
};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

const ROUNDS: usize = 25;
/// The targets: times Docker's own link. The first leaves room for a hundredth of noise.
const ONE_PORT: f64 = 1.01;
const FIFTY_PORTS: f64 = 1.0 / 20.0;
/// The kernel and dockerd end a container in the background.
const PAUSE: Duration = Duration::from_millis(100);

const PROGRAM: &str = "/usr/local/bin/oci-link";
const CONFIG: &str = r#"{"icc": false, "exec-opts": ["native.cgroupdriver=cgroupfs"]}"#;
/// An image that waits, and exposes no port: its containers have those that they are given.
const IMAGE: &str = "mkdir -p /root/bare/bin && cp /bin/busybox /root/bare/bin && \
    tar -C /root/bare -c . | docker import --change 'CMD [\"/bin/busybox\", \"sleep\", \"86400\"]' - bare";
/// They run all the time; both links are to them.
const SOURCES: [(&str, &str); 2] = [("one", "--expose 3306"), ("fifty", "--expose 3306-3355")];
/// The containers that are started and killed, again and again: name and options.
const RECIPIENTS: [(&str, &str); 6] = [
    ("no link", ""),
    ("no link, our wrapper", "--runtime oci-link"),
    ("Docker's link, 1 port", "--link one:db"),
    ("our link, 1 port", "--runtime oci-link --annotation org.oci-link.links=one:db"),
    ("Docker's link, 50 ports", "--link fifty:db"),
    ("our link, 50 ports", "--runtime oci-link --annotation org.oci-link.links=fifty:db"),
];

pub(crate) fn measure(place: &Place, report: &mut Report) {
    if !Path::new(SID).join(".complete").exists() {
        println!("\ndocker start: left out, for want of {SID}: make bench-deps");
        return;
    }
    let machine = start(&place.oci_link);
    let docker = Docker(machine.path("/run/docker.sock"));
    for (name, options) in SOURCES {
        machine.sh(&format!("docker run -d --runtime oci-link --name {name} {options} bare")).ok();
    }
    for (number, (_, options)) in RECIPIENTS.iter().enumerate() {
        machine.sh(&format!("docker create --name web{number} {options} bare")).ok();
    }
    let mut all = RECIPIENTS.map(|_| Series::default());
    for round in 0..ROUNDS {
        let mut turns: Vec<_> = all.iter_mut().enumerate().collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (number, series) in turns {
            let web = format!("web{number}");
            series.push_time(docker.start(&web));
            docker.end(&web);
        }
    }
    let [plain, wrapped, their1, our1, their50, our50] = &all;
    let added = |series: &Series| series.median() - plain.median();
    let one = Target::at_most(ONE_PORT, our1.median() / their1.median(), " of Docker's start");
    let fifty = added(our50) / added(their50);
    let fifty = Target::at_most(FIFTY_PORTS, fifty, " of what Docker adds");
    report.section("docker start", RECIPIENTS[0].0, plain);
    let targets = [None, None, Some(one), None, Some(fifty)];
    let others = [wrapped, their1, our1, their50, our50];
    for (((what, _), series), target) in RECIPIENTS.iter().skip(1).zip(others).zip(targets) {
        report.row(what, series, target);
    }
}

/// A machine with a dockerd that knows of us.
fn start(oci_link: &Path) -> Machine {
    let machine = Machine::start(Debian::Sid);
    machine.install(oci_link, PROGRAM);
    machine.sh(&format!("ln -s oci-link {PROGRAM}-runtime; mkdir -p /etc/docker")).ok();
    machine.sh("echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables").ok();
    machine.feed("sh", &["-c", "cat >/etc/docker/daemon.json"], CONFIG.as_bytes()).ok();
    machine.sh(&format!("{PROGRAM} configure docker")).ok();
    machine.daemon("dockerd", "/root/engine.log");
    wait_until("answer of dockerd", || machine.sh("docker version").is_ok());
    machine.sh(IMAGE).ok();
    machine
}

/// dockerd's own interface: the client's start would be half of what is measured.
struct Docker(PathBuf);

impl Docker {
    /// The time of `docker start`.
    fn start(&self, name: &str) -> Duration {
        sleep(PAUSE);
        let begun = Instant::now();
        self.post(name, "start");
        begun.elapsed()
    }

    fn end(&self, name: &str) {
        self.post(name, "kill");
        self.post(name, "wait?condition=not-running");
    }

    fn post(&self, name: &str, what: &str) {
        let mut socket = UnixStream::connect(&self.0).expect("dockerd listens");
        let request = format!(
            "POST /containers/{name}/{what} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).expect("dockerd reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("dockerd answers");
        assert!(answer.starts_with("HTTP/1.1 20"), "{name}: {what}: {answer}");
    }
}
