//! Hosts that are connected by routes, each with `watch` and a spool that a shell script fills.

use crate::{
    hazards::scene::with_mounts,
    support::{Host, Runtime, netns::Netns},
    watch::{Watch, command},
};
use std::{
    cell::RefCell,
    fmt::Write,
    fs,
    io::ErrorKind,
    net::UdpSocket,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long nothing must be heard before links are closed, in seconds.
pub(super) const PATIENCE: u64 = 10;

/// A complete courier without a store. Its arguments are the state directory and the spool of each host. A host whose
/// directory has a file `cut` sends and hears nothing.
const COURIER: &str = r#"
names=(a b c)
fresh() {
    read -r up _ < /proc/uptime
    echo $((10#${up/./} * 10))
}
while sleep 0.02; do
    for to in 0 1 2; do
        into=${spools[to]}
        [ -n "$into" ] && [ ! -e "$into/../cut" ] || continue
        now=$(fresh)
        for from in 0 1 2; do
            [ $from != $to ] && [ -n "${states[from]}" ] && [ ! -e "${spools[from]}/../cut" ] || continue
            for file in "${states[from]}"/offers/*.{offer,want}; do
                name=${names[from]}~${file##*/}
                [ -e "$file" ] && ! cmp -s "$file" "$into/$name" || continue
                cp "$file" "$into/.new" 2>/dev/null && mv "$into/.new" "$into/$name"
            done
            for file in "$into/${names[from]}"~*; do
                name=${file##*/}
                [ -e "${states[from]}/offers/${name#*~}" ] || rm -f "$file"
            done
        done
        printf '{"v":1,"boot":"%s","fresh_ms":%s,"by":"sh"}' "$boot" "$now" > "$into/.view"
        mv "$into/.view" "$into/view"
    done
done"#;

/// Up to three hosts, `a`, `b` and `c`, whose networks are routed to each other.
pub(super) struct Site {
    pub(super) hosts: Vec<Host>,
    courier: RefCell<Option<Child>>,
    _fabric: Netns,
}

/// The names of the hosts.
const NAMES: [&str; 3] = ["a", "b", "c"];

impl Site {
    /// Hosts with this backend. Nothing but links passes from one container to another.
    pub(super) fn new(count: usize, backend: &str) -> Self {
        let fabric = Netns::create();
        let hosts: Vec<Host> = (1..=count)
            .map(|number| Host::in_network(Runtime::Runc, u8::try_from(number).expect("few")))
            .collect();
        let in_fabric = "link set lo up\nlink add sw0 type bridge\nlink set sw0 up";
        hosts[0].ip(&fabric, in_fabric).ok();
        for host in &hosts {
            connect(host, &fabric, &hosts);
            let spool = host.path("spool");
            fs::DirBuilder::new().mode(0o750).create(spool).expect("made");
            configure(host, backend, "");
        }
        for (host, other) in hosts.iter().flat_map(|host| hosts.iter().map(move |it| (host, it))) {
            meet(host.netns(), &format!("fd99::{}", other.network()));
        }
        Self { hosts, courier: RefCell::default(), _fabric: fabric }
    }

    /// `watch` on one host.
    pub(super) fn watch(&self, host: usize) -> Watch<'_> {
        let host = &self.hosts[host];
        let mounts = "mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/oci-link-cluster/peers\n\
                      mount --bind \"$1\" /run/oci-link-cluster/peers; shift";
        Watch::begin_by(host, with_mounts(mounts, &[&host.path("spool")], &command(host)))
    }

    /// Begins to carry records between the hosts.
    pub(super) fn carry(&self) {
        let list = |paths: Vec<PathBuf>| {
            paths.iter().map(|path| format!("'{}'", path.display())).collect::<Vec<_>>().join(" ")
        };
        let states = list(self.hosts.iter().map(Host::state_dir).collect());
        let spools = list(self.hosts.iter().map(|host| host.path("spool")).collect());
        let script = format!(
            "shopt -s nullglob; boot=$(cat /proc/sys/kernel/random/boot_id)\nstates=({states}); spools=({spools})\n{COURIER}"
        );
        let mut bash = Command::new("bash");
        bash.arg("-c").arg(script).stdin(Stdio::null());
        bash.stderr(fs::File::create(self.hosts[0].path("courier.err")).expect("made"));
        self.courier.replace(Some(bash.spawn().expect("bash starts")));
    }

    /// Stops carrying records.
    pub(super) fn stop_carrying(&self) {
        if let Some(mut courier) = self.courier.take() {
            let _ = courier.kill();
            let _ = courier.wait();
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop_carrying();
    }
}

/// Waits until `gate` answers: the first IPv6 packet to a neighbour may be lost, and its sender waits for a second.
pub(super) fn meet(from: &Netns, gate: &str) {
    let refused = from.enter(|| {
        let socket = UdpSocket::bind("[::]:0").expect("a socket");
        socket.connect(format!("[{gate}]:9")).expect("an address");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
        // A closed port answers.
        let asks = || socket.send(b"?").and_then(|_| socket.recv(&mut [0])).map_err(|it| it.kind());
        (0..100).any(|_| asks() == Err(ErrorKind::ConnectionRefused))
    });
    assert!(refused, "no answer of {gate}");
}

/// Writes config.toml of a host. `more` is added to `[cluster]`.
fn configure(host: &Host, backend: &str, more: &str) {
    let networks = (1..=3).zip(NAMES).map(|(number, name)| {
        format!("{name} = [\"10.77.{number}.0/24\", \"fd77:0:0:{number}::/64\"]")
    });
    let networks = networks.collect::<Vec<_>>().join(", ");
    let name = NAMES[usize::from(host.network()) - 1];
    let config = format!(
        "[firewall]\nbackend = \"{backend}\"\nisolate = [\"br0\"]\n[cluster]\nname = \"{name}\"\n\
         networks = {{ {networks} }}\npatience = \"{PATIENCE}s\"\n{more}"
    );
    fs::write(host.path("config.toml"), config).expect("written");
}

/// Connects a host to the fabric, with routes to the others.
fn connect(host: &Host, fabric: &Netns, hosts: &[Host]) {
    let (number, name) = (host.network(), fabric.name());
    host.netns().enter(|| {
        for interface in ["default", "br0"] {
            // Its link-local address, by which it asks for neighbours, counts at once.
            let path = format!("/proc/sys/net/ipv6/conf/{interface}/accept_dad");
            fs::write(path, "0").expect("root may");
        }
    });
    let mut lines = format!(
        "link add up0 type veth peer name p{number} netns {name}
         link set up0 up
         addr add 10.99.0.{number}/24 dev up0
         addr add fd99::{number}/64 dev up0 nodad\n"
    );
    for other in hosts.iter().map(Host::network).filter(|other| *other != number) {
        let _ = writeln!(
            lines,
            "route add 10.77.{other}.0/24 via 10.99.0.{other}
             route add fd77:0:0:{other}::/64 via fd99::{other}"
        );
    }
    host.ip(fabric, "").ok();
    host.ip(host.netns(), &lines).ok();
    host.ip(fabric, &format!("link set p{number} master sw0\nlink set p{number} up")).ok();
}
