//! config.toml and what it imports.

use super::site::Site;

const CONFIG: &str = "/etc/containerd/config.toml";
const DROP_IN: &str = "/etc/containerd/conf.d/oci-link.toml";

/// Debian's.
const DEBIAN: &str = r#"version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
"#;

/// As `containerd config default` prints it and kubeadm's documents change it.
const FULL: &str = r#"version = 2 # of the format
[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "runc" # the default
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true"#;

const OURS: &str = r#"[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.oci-link]
runtime_type = "io.containerd.runc.v2"
pod_annotations = ["org.oci-link.*", "org.oci-link.*/*"]
container_annotations = ["org.oci-link.*", "org.oci-link.*/*"]

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.oci-link.options]
BinaryName = "@BIN@/oci-link-runtime"
"#;

/// What a version 2 file says of the CRI plugin's containerd.
fn cri(site: &Site) -> toml::Value {
    let parsed: toml::Table = toml::from_str(&site.read(CONFIG).expect("there")).expect("TOML");
    parsed["plugins"]["io.containerd.grpc.v1.cri"]["containerd"].clone()
}

#[test]
fn version_2_gets_a_part_of_the_file_itself() {
    let site = Site::new();
    site.write(CONFIG, DEBIAN);
    site.there_and_back("containerd", |site| {
        let text = site.read(CONFIG).expect("there");
        let ours = OURS.replace("@BIN@", &site.link().with_file_name("").display().to_string());
        let ours = ours.replace("//", "/");
        let (head, tail) =
            (format!("{DEBIAN}\n# BEGIN oci-link\n"), format!("{ours}# END oci-link\n"));
        assert!(text.starts_with(&head) && text.ends_with(&tail), "{text}");
        // containerd 1.x has only the runtimes that the file names.
        assert_eq!(
            cri(site)["runtimes"]["runc"]["runtime_type"].as_str(),
            Some("io.containerd.runc.v2")
        );
        assert!(cri(site).get("default_runtime_name").is_none());
        assert_eq!(site.read(DROP_IN), None);
    });
    site.there_and_back("containerd --default --runtime link", |site| {
        assert_eq!(cri(site)["default_runtime_name"].as_str(), Some("link"));
    });
}

#[test]
fn an_old_default_comes_back() {
    let without = FULL.replace("  default_runtime_name = \"runc\" # the default\n", "");
    for old in [FULL, &without, &format!("{without}\n")] {
        let site = Site::new();
        site.write(CONFIG, old);
        site.there_and_back("containerd --default", |site| {
            assert_eq!(cri(site)["default_runtime_name"].as_str(), Some("oci-link"));
            let options = &cri(site)["runtimes"]["oci-link"]["options"];
            assert_eq!(options["SystemdCgroup"].as_bool(), Some(true));
            let text = site.read(CONFIG).expect("there");
            assert_eq!(text.matches("runtimes.runc]").count(), 1, "{text}");
        });
        // One call undoes what another did, and knows it when somebody chose a third.
        site.configure("containerd --default").ok();
        site.configure("containerd --runtime other").ok();
        assert_ne!(
            cri(&site).get("default_runtime_name").and_then(|v| v.as_str()),
            Some("oci-link")
        );
        assert!(cri(&site)["runtimes"].get("oci-link").is_none());
        site.configure("containerd --remove").ok();
        site.assert_says(CONFIG, old);
    }
}

#[test]
fn a_config_that_is_not_there_is_made_and_goes_again() {
    let site = Site::new();
    for arguments in ["containerd", "containerd --default"] {
        site.there_and_back(arguments, |site| {
            assert_eq!(cri(site)["runtimes"].as_table().map(toml::Table::len), Some(2));
            assert!(site.read(CONFIG).expect("there").contains("\nversion = 2\n"));
        });
    }
    site.write(CONFIG, "# nothing yet\n");
    site.there_and_back("containerd", |_| {});
}

#[test]
fn from_version_3_on_there_is_a_drop_in() {
    const IMPORT: &str = "imports = [\"/etc/containerd/conf.d/oci-link.toml\"]\n";
    const ALL: &str = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n";
    const NEAR: &str = "version = 3\nimports = [\n  'conf.d/*',\n]\n";
    for (old, new) in [
        ("version = 3\n", &format!("{IMPORT}version = 3\n")),
        ("version = 3", &format!("{IMPORT}version = 3")),
        ("# c\nversion = 4 # d\n[x]\n", &format!("# c\n{IMPORT}version = 4 # d\n[x]\n")),
        ("imports = [] # c\nversion = 3\n", &IMPORT.replace('\n', " # c\nversion = 3\n")),
        (
            "version = 3\nimports = ['/x']",
            &format!("version = 3\n{}", IMPORT.replace("]\n", ", '/x']")),
        ),
        (ALL, &ALL.to_owned()),
        (NEAR, &NEAR.to_owned()),
    ] {
        let site = Site::new();
        site.write(CONFIG, old);
        site.there_and_back("containerd", |site| {
            site.assert_says(CONFIG, new);
            let text = site.read(DROP_IN).expect("made");
            let parsed: toml::Table = toml::from_str(&text).expect("TOML");
            assert_eq!(parsed["version"].as_integer(), Some(if old.contains('4') { 4 } else { 3 }));
            let cri = &parsed["plugins"]["io.containerd.cri.v1.runtime"]["containerd"];
            let ours = &cri["runtimes"]["oci-link"];
            assert_eq!(ours["options"]["BinaryName"].as_str(), site.link().to_str());
            assert_eq!(ours["pod_annotations"][0].as_str(), Some("org.oci-link.*"));
            assert!(cri.get("default_runtime_name").is_none());
        });
    }
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let site = Site::new();
    for (text, status, why) in [
        ("disabled_plugins = [\"cri\"]\n", 3, "version 1"),
        ("version = 5\n", 3, "version 5"),
        ("version = 2\n[plugins", 3, "config.toml"),
        ("version = 2\nplugins = {}\n", 3, "config.toml"),
        (&format!("{DEBIAN}\n{OURS}"), 5, "runtime oci-link exists and is not oci-link"),
        (&format!("{DEBIAN}\n# BEGIN oci-link\n"), 3, "BEGIN"),
    ] {
        site.write(CONFIG, text);
        site.refuses("containerd", status, why);
    }
    // Taking away what is not there changes no file, of whatever version.
    site.write(CONFIG, "disabled_plugins = [\"cri\"]\n");
    assert_eq!(site.configure("containerd --remove").ok(), "nothing to change\n");
}
