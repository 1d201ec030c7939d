//! Packages on a Debian that never had one: installed, used, upgraded while containers are linked,
//! removed while they are. `make test-packages` builds them and says where they are.

use crate::machine::{Debian, Machine};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

const BUNDLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles");
const HOOKS: &str = "/usr/share/oci-link/hooks.d";
/// What installing anything at all changes.
const BOOKS: &str = "/var/lib/dpkg /var/lib/rpm /var/log /var/cache /root";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Package {
    Deb,
    Rpm,
}

impl Package {
    fn install(self) -> &'static str {
        match self {
            Self::Deb => "dpkg --install /root/package",
            // Debian's rpm wants to be told that this is no mistake.
            Self::Rpm => "rpm --force-debian --nodeps --install /root/package",
        }
    }

    /// With the next version, which differs from the first in its program.
    fn upgrade(self) -> &'static str {
        match self {
            Self::Deb => {
                "cd /root && dpkg-deb -R package next && printf next >>next/usr/bin/oci-link && \
                 sed -i 's/^Version: .*/&.1/' next/DEBIAN/control && dpkg-deb -Znone -b next && \
                 dpkg --install next.deb"
            }
            Self::Rpm => "rpm --force-debian --nodeps --upgrade --replacepkgs /root/package",
        }
    }

    fn remove(self) -> &'static str {
        match self {
            Self::Deb => "dpkg --remove oci-link",
            Self::Rpm => "rpm --force-debian --erase oci-link",
        }
    }

    /// Prints the names of its files.
    fn files(self) -> &'static str {
        match self {
            Self::Deb => "dpkg-query --listfiles oci-link",
            Self::Rpm => "rpm --query --list oci-link",
        }
    }

    /// Puts the package that was built into `machine`.
    fn bring(self, machine: &Machine) {
        let directory = std::env::var("OCI_LINK_PACKAGES").expect("make test-packages sets it");
        let extension = if self == Self::Deb { "deb" } else { "rpm" };
        let entries = fs::read_dir(directory).expect("packages are built");
        let paths = entries.map(|entry| entry.expect("readable").path());
        // That of the courier lies beside it.
        let mut paths = paths.filter(|path| {
            let is_courier = path.to_string_lossy().contains("oci-link-cluster");
            path.extension() == Some(extension.as_ref()) && !is_courier
        });
        let path = paths.next().unwrap_or_else(|| panic!("no .{extension}"));
        assert_eq!(paths.next(), None, "which .{extension}?");
        machine.install(&path, "/root/package");
    }
}

/// A machine with two networked bundles, and a bridge between them that lets nothing pass.
struct Site {
    machine: Machine,
}

impl Site {
    fn start() -> Self {
        let site = Self { machine: Machine::start(Debian::Fresh) };
        site.sh("mkdir -p /bundles /run/netns /etc/docker /etc/containers/containers.conf.d");
        site.sh("ip link add br0 type bridge && ip addr add 10.77.0.1/24 dev br0");
        site.sh("ip link set br0 up && echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables");
        for iptables in ["iptables", "ip6tables"] {
            site.sh(&format!("{iptables} -A FORWARD -i br0 -o br0 -j DROP"));
        }
        for (name, number) in [("db", 11), ("web", 12)] {
            let netns = format!("oci-link-{name}");
            site.sh(&format!(
                "ip netns add {netns} && ip link add veth-{name} master br0 up type veth \
                 peer name eth0 netns {netns} && ip -n {netns} link set eth0 up && \
                 ip -n {netns} addr add 10.77.0.{number}/24 dev eth0"
            ));
            let bundle = site.bundle(name);
            let made = Command::new(format!("{BUNDLES}/rootfs.sh")).arg(&bundle).status();
            assert!(made.expect("a script").success());
            fs::copy(config(name), bundle.join("config.json")).expect("a bundle");
        }
        site
    }

    fn sh(&self, script: &str) -> String {
        self.machine.sh(script).ok()
    }

    fn bundle(&self, name: &str) -> PathBuf {
        self.machine.path(&format!("/bundles/{name}"))
    }

    /// Runs a bundle as an engine would that reads the installed hooks.
    fn run(&self, name: &str) {
        let text = fs::read_to_string(config(name)).expect("a bundle");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["linux"]["cgroupsPath"] = json!(format!("/packages-{}-{name}", process::id()));
        let mut edits = Vec::new();
        for entry in fs::read_dir(self.machine.path(HOOKS)).expect("hooks are installed") {
            let text = fs::read_to_string(entry.expect("readable").path()).expect("readable");
            let described: Value = serde_json::from_str(&text).expect("JSON");
            let stage = described["stages"][0].as_str().expect("a stage");
            if stage == "precreate" {
                edits.push(described["hook"].clone());
            } else {
                config["hooks"][stage] = json!([described["hook"]]);
            }
        }
        for hook in edits {
            let words = hook["args"].as_array().expect("arguments").iter().skip(1);
            let words: Vec<_> = words.map(|word| word.as_str().expect("text")).collect();
            let path = hook["path"].as_str().expect("text");
            let edited = self.machine.feed(path, &words, config.to_string().as_bytes()).ok();
            config = serde_json::from_str(&edited).expect("JSON");
        }
        fs::write(self.bundle(name).join("config.json"), config.to_string()).expect("written");
        self.sh(&format!("runc run --detach --bundle /bundles/{name} {name}"));
    }

    fn end(&self, name: &str) {
        self.sh(&format!("runc delete --force {name}"));
    }

    fn web_reaches_db(&self) -> bool {
        let asked = self.machine.sh("runc exec web nc -w 2 10.77.0.11 3306");
        asked.is_ok() && asked.ok().contains("welcome")
    }

    fn hosts_of_web(&self) -> String {
        fs::read_to_string(self.bundle("web").join("rootfs/etc/hosts")).expect("a hosts file")
    }

    /// Every file, directories of ours, and everything in the firewall.
    fn everything(&self) -> BTreeSet<String> {
        let but = BOOKS.split(' ').map(|path| format!("-path {path} -prune -o "));
        let what = "\\( ! -type d -o -name '*oci-link*' \\) -print";
        let files = self.sh(&format!("find / /run -xdev {}{what}", but.collect::<String>()));
        let firewall = self.sh("iptables -S; ip6tables -S; ipset save; nft list tables");
        files.lines().chain(firewall.lines()).map(String::from).collect()
    }
}

/// What a bundle says before hooks are added.
fn config(name: &str) -> String {
    format!("{BUNDLES}/{name}/config.json")
}

/// The whole of a package's life on a host.
fn story(package: Package) {
    let site = Site::start();
    package.bring(&site.machine);
    let before = site.everything();
    let hosts = site.hosts_of_web();
    site.sh(package.install());
    for file in site.sh(package.files()).lines() {
        assert!(fs::symlink_metadata(site.machine.path(file)).is_ok(), "{file} is not there");
    }
    let switched_on = site.machine.path("/usr/share/containers/oci/hooks.d");
    assert!(!switched_on.exists(), "installing it registered it");
    for name in ["runtime", "runc", "crun", "youki"] {
        assert_eq!(site.sh(&format!("readlink /usr/bin/oci-link-{name}")), "oci-link");
    }
    site.sh("$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/oci-link-watch.service) --help");

    site.run("db");
    site.run("web");
    assert!(site.web_reaches_db());
    assert!(site.sh("runc exec web env").contains("DB_PORT=tcp://10.77.0.11:3306"));
    assert!(site.hosts_of_web().contains("10.77.0.11\tdb"), "{}", site.hosts_of_web());

    let (linked, inode) = (site.sh("oci-link ls"), site.sh("stat -c %i /usr/bin/oci-link"));
    site.sh(package.upgrade());
    assert_ne!(site.sh("stat -c %i /usr/bin/oci-link"), inode, "it is the old program");
    assert_eq!(site.sh("oci-link ls"), linked);
    assert!(site.web_reaches_db());
    site.end("web");
    assert_eq!(site.hosts_of_web(), hosts);
    assert!(!site.sh("iptables -S; ipset save").contains("10.77.0.12"));
    site.run("web");
    assert!(site.web_reaches_db());

    site.sh("oci-link configure docker && oci-link configure podman --default");
    let told = site.sh(package.remove());
    for name in ["db", "web"] {
        let line = format!("removed: links of container {name} ({name}): the container still runs");
        assert!(told.contains(&line), "{told}");
    }
    assert!(!site.web_reaches_db());
    assert_eq!(site.hosts_of_web(), hosts);
    // Their hooks are gone, and nothing is left for them to do.
    site.end("web");
    site.end("db");
    if package == Package::Deb {
        site.sh("mkdir /etc/oci-link && touch /etc/oci-link/config.toml");
        site.sh("dpkg --purge oci-link");
        assert!(
            site.machine.sh("dpkg-query --status oci-link").refused().contains("not installed")
        );
    }
    let after = site.everything();
    let changes: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(changes.is_empty(), "{changes:#?}\n{told}");
}

#[test]
#[ignore = "wants packages: make test-packages"]
fn a_deb_is_installed_used_upgraded_and_removed() {
    story(Package::Deb);
}

#[test]
#[ignore = "wants packages: make test-packages"]
fn an_rpm_is_installed_used_upgraded_and_removed() {
    story(Package::Rpm);
}

/// Each file of a package but its directories, with what is in it.
fn content(package: Package) -> BTreeSet<String> {
    let machine = Machine::start(Debian::Fresh);
    package.bring(&machine);
    machine.sh(package.install()).ok();
    let print = "while read -r file; do [ -d \"$file\" ] || echo \"$file $(stat -c %A \"$file\") \
         $(readlink \"$file\" || sha256sum <\"$file\")\"; done";
    let files = machine.sh(&format!("{} | {print}", package.files())).ok();
    // The same file where each distribution's zsh looks for it.
    let files = files.replace("/zsh/vendor-completions/", "/zsh/site-functions/");
    files.lines().map(String::from).collect()
}

#[test]
#[ignore = "wants packages: make test-packages"]
fn both_packages_have_the_same_files() {
    let (deb, rpm) = (content(Package::Deb), content(Package::Rpm));
    assert!(deb.iter().any(|file| file.starts_with("/usr/bin/oci-link -rwxr-xr-x ")), "{deb:#?}");
    let mut changes: Vec<_> = deb.symmetric_difference(&rpm).collect();
    // Debian has the licence elsewhere, a changelog of its own form and a file for lintian; an .rpm makes the
    // wrapper's names when it is installed.
    let of_debian = [
        "/usr/share/doc/oci-link/copyright ",
        "/usr/share/doc/oci-link/changelog.Debian.gz ",
        "/usr/share/doc/oci-link/LICENSE ",
        "/usr/share/lintian/",
    ];
    let own = |file: &&String| {
        of_debian.iter().any(|start| file.starts_with(start)) || file.ends_with(" oci-link")
    };
    changes.retain(|file| !own(file));
    assert!(changes.is_empty(), "{changes:#?}");
}

/// `make uninstall` knows by name what `make install` puts there.
#[test]
#[ignore = "wants a built program: make test-packages"]
fn make_takes_away_what_it_installed() {
    let directory = std::env::temp_dir().join(format!("oci-link-install-{}", process::id()));
    let files = || {
        let listed = Command::new("find").arg(&directory).args(["!", "-type", "d"]).output();
        String::from_utf8_lossy(&listed.expect("find").stdout).lines().count()
    };
    let make = |what: &str| {
        let mut make = Command::new("make");
        make.arg("-C").arg(env!("CARGO_MANIFEST_DIR")).arg(what).env_remove("MAKEFLAGS");
        make.arg(format!("DESTDIR={}", directory.display()));
        make.arg(format!("BINARY={}", Path::new(env!("CARGO_BIN_EXE_oci-link")).display()));
        let said = make.output().expect("make");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    };
    make("install");
    assert!(files() > 30, "{}", files());
    make("uninstall");
    assert_eq!(files(), 0);
    fs::remove_dir_all(&directory).expect("ours");
}
