//! `configure` as an ordinary user: the files of the user's own engines, in the home directory that
//! the user database names. As root: what users of the host will see.

use super::site::Site;
use crate::support::{OCI_LINK, install};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

const ALICE: u32 = 1500;
const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1500:1500::/home/alice:/bin/sh\n";
const OWN: &str = "home/alice/.config/containers/containers.conf.d/oci-link.conf";
const MAIN: &str = "home/alice/.config/containers/containers.conf";
const ROOTS: &str = "etc/containers/containers.conf.d/oci-link.conf";
const DAEMON: &str = "home/alice/.config/docker/daemon.json";

/// A host with a user, where this user can go; gone when dropped.
struct Home(PathBuf);

/// The exit status, and both streams.
type Said = (Option<i32>, String, String);

impl Home {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("oci-link-user-{}-{}", process::id(), MADE.fetch_add(1, Relaxed));
        let host = Self(std::env::temp_dir().join(name));
        for directory in ["program", "etc/containers", "usr/bin", "home/alice", "elsewhere"] {
            fs::create_dir_all(host.0.join(directory)).expect("a directory");
        }
        install(Path::new(OCI_LINK), &host.0.join("program/oci-link"));
        for runtime in ["runc", "crun"] {
            let wrapper = host.0.join(format!("program/oci-link-{runtime}"));
            symlink("oci-link", wrapper).expect("a link");
            host.write(&format!("usr/bin/{runtime}"), "#!/bin/false\n");
            let program = host.0.join("usr/bin").join(runtime);
            fs::set_permissions(program, Permissions::from_mode(0o755)).expect("set");
        }
        // A drop-in names the program by its path, which is looked for below the root.
        let below = host.0.join(host.0.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(below.parent().expect("a directory")).expect("made");
        symlink(&host.0, below).expect("a link");
        host.write("etc/passwd", PASSWD);
        for directory in ["home/alice", "elsewhere"] {
            chown(host.0.join(directory), Some(ALICE), Some(ALICE)).expect("given");
        }
        host
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(&file, text).expect("written");
        if path.starts_with("home/alice/") {
            let home = self.0.join("home");
            for made in file.ancestors().take_while(|made| **made != home) {
                chown(made, Some(ALICE), Some(ALICE)).expect("given");
            }
        }
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.join(path)).ok()
    }

    /// `oci-link configure …`, with an environment that names other directories.
    fn configure(&self, uid: u32, arguments: &str) -> Said {
        let mut command = Command::new(self.0.join("program/oci-link"));
        command.args(["configure", "--root"]).arg(&self.0).args(arguments.split_whitespace());
        command.env("HOME", self.0.join("elsewhere"));
        command.env("XDG_CONFIG_HOME", self.0.join("elsewhere"));
        let said = command.uid(uid).gid(uid).output().expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (said.status.code(), text(said.stdout), text(said.stderr))
    }

    #[track_caller]
    fn ok(&self, uid: u32, arguments: &str) -> String {
        let (status, stdout, stderr) = self.configure(uid, arguments);
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{stdout}");
        stdout
    }

    /// Refuses with a line that contains `why`, and writes nothing.
    #[track_caller]
    fn refuses(&self, uid: u32, arguments: &str, why: &str) {
        let (status, stdout, stderr) = self.configure(uid, arguments);
        assert_eq!((status, stdout.as_str()), (Some(3), ""), "{stderr}");
        assert!(stderr.contains(why) && stderr.lines().count() == 1, "{stderr}");
        assert_eq!(self.read(OWN), None);
    }

    /// The table `engine` of a drop-in.
    fn engine(&self, path: &str) -> toml::Table {
        let text = self.read(path).expect("written");
        let all: toml::Table = toml::from_str(&text).expect("TOML");
        all["engine"].as_table().expect("a table").clone()
    }

    /// The wrapper that the user's drop-in names.
    fn wrapper(&self) -> String {
        let program = self.engine(OWN)["runtimes"]["oci-link"][0].clone();
        let program = Path::new(program.as_str().expect("a path")).file_name();
        program.expect("a name").to_string_lossy().into_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_user_has_a_drop_in_of_the_own_home() {
    let host = Home::new();
    let dry = host.ok(ALICE, "podman --default --dry-run");
    assert_eq!(host.read(OWN), None);
    let said = host.ok(ALICE, "podman --default");
    let text = host.read(OWN).expect("written");
    assert!(said.contains(&host.0.join(OWN).display().to_string()), "{said}");
    assert!(dry.contains(&text) && !said.contains("rootless users"), "{dry}\n{said}");
    assert_eq!(host.wrapper(), "oci-link-crun");
    assert_eq!(host.engine(OWN)["runtime"].as_str(), Some("oci-link"));
    assert_eq!(fs::metadata(host.0.join(OWN)).expect("there").uid(), ALICE);
    assert_eq!(host.ok(ALICE, "podman --default"), "nothing to change\n");
    let others =
        [host.read(ROOTS), host.read("elsewhere/containers/containers.conf.d/oci-link.conf")];
    assert_eq!(others, [None, None], "/etc, or a directory of the environment");
    host.ok(ALICE, "podman --remove");
    assert_eq!(host.read(OWN), None);
    assert_eq!(host.ok(ALICE, "podman --remove"), "nothing to change\n");
}

#[test]
fn podman_reads_the_files_of_the_user_last() {
    let host = Home::new();
    let runs = |name: &str| format!("[engine]\nruntime = \"{name}\"\n");
    host.write("etc/containers/containers.conf", &runs("crun"));
    host.write(MAIN, &runs("runc"));
    host.ok(ALICE, "podman --default");
    assert_eq!(host.wrapper(), "oci-link-runc");
    host.ok(ALICE, "podman --remove");
    let later = "home/alice/.config/containers/containers.conf.d/z.conf";
    host.write(later, &runs("crun"));
    let own = host.0.join(OWN).display().to_string();
    let why = format!("z.conf: podman reads it after {own}: remove runtime from it");
    host.refuses(ALICE, "podman --default", &why);
    // podman has read the files of the host's root by then, whatever they are called.
    fs::remove_file(host.0.join(later)).expect("removed");
    host.write("etc/containers/containers.conf.d/z.conf", &runs("crun"));
    host.ok(ALICE, "podman --default");
    assert_eq!(host.wrapper(), "oci-link-runc");
}

#[test]
fn root_and_a_user_may_both_register() {
    let host = Home::new();
    let said = host.ok(0, "podman");
    assert!(!said.contains("rootless"), "only a default is everybody's: {said}");
    let said = host.ok(0, "podman --default");
    assert!(said.contains("rootless users of this host get it too"), "{said}");
    host.ok(ALICE, "podman --default");
    assert_eq!(host.wrapper(), "oci-link-crun");
    assert_eq!(host.engine(OWN), host.engine(ROOTS), "no name twice");
    host.ok(ALICE, "podman --remove");
    assert!(host.read(ROOTS).is_some() && host.read(OWN).is_none());
    let said = host.ok(0, "podman --remove");
    assert!(!said.contains("rootless"), "{said}");
}

#[test]
fn a_user_without_a_home_directory_is_refused() {
    let host = Home::new();
    host.refuses(1600, "podman --default", "user 1600: /etc/passwd names no home directory for it");
    host.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    host.refuses(ALICE, "podman", "user 1500: ");
}

#[test]
fn hooks_of_all_users_are_roots() {
    let host = Home::new();
    host.refuses(ALICE, "podman --hooks", "/usr/share/containers/oci/hooks.d: hooks of all users");
    host.ok(0, "podman --hooks");
    assert_eq!(host.ok(ALICE, "podman --hooks --remove"), "nothing to change\n");
    host.write(MAIN, "[engine]\nhooks_dir = ['/home/alice/hooks']\n");
    host.ok(ALICE, "podman --hooks");
    let own = |stage: &str| host.read(&format!("home/alice/hooks/oci-link-{stage}.json"));
    assert!(["precreate", "createRuntime", "poststop"].iter().all(|stage| own(stage).is_some()));
    host.ok(ALICE, "podman --hooks --remove");
    assert_eq!(own("poststop"), None);
}

#[test]
fn docker_of_a_user_has_a_file_of_its_own() {
    let host = Home::new();
    let said = host.ok(ALICE, "docker --default");
    assert!(said.contains("systemctl --user reload docker"), "{said}");
    let text = host.read(DAEMON).expect("written");
    assert!(text.contains("\"default-runtime\": \"oci-link\""), "{text}");
    assert_eq!(host.read("etc/docker/daemon.json"), None);
    let said = host.ok(ALICE, "docker --remove");
    assert!(said.contains("systemctl --user restart docker"), "{said}");
    assert_eq!(host.read(DAEMON), None);
}

/// Where users of the host find their drop-in is not where root's `--root` test sites have it.
#[test]
fn root_writes_into_no_home() {
    let site = Site::new();
    site.write("etc/passwd", PASSWD);
    site.there_and_back("podman --default", |site| assert!(site.read(OWN).is_none()));
}
