use super::table::words;
use super::testing::{DOCKER_20, DOCKER_28, PODMAN, Told};
use super::{Client, rewrite};
use proptest::prelude::*;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

fn changed(client: Client, line: &str, around: &Told) -> Option<String> {
    let new = rewrite(client, &words(line), around).unwrap_or_else(|e| panic!("{line}: {e}"))?;
    let new: Vec<_> = new.iter().map(|word| word.to_string_lossy()).collect();
    Some(new.join(" "))
}

fn refused(client: Client, line: &str, around: &Told) -> String {
    let error = rewrite(client, &words(line), around).expect_err(line);
    assert_eq!(error.kind as u8, 2, "{line}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

#[test]
fn an_option_of_a_later_version_is_asked_for_once() {
    let line = "run --new-flag --new-value x --new-flag --link a img y";
    for (client, help, rest) in
        [(Client::Docker, DOCKER_28, " --runtime oci-link"), (Client::Podman, PODMAN, "")]
    {
        let around = Told::with_help(help);
        let expected = "run --new-flag --new-value x --new-flag --annotation org.oci-link.links=a";
        let new = changed(client, line, &around);
        assert_eq!(new, Some(format!("{expected}{rest} img y")));
        assert_eq!(*around.asked.borrow(), [words("run --help")]);
    }
    let around = Told::with_help(DOCKER_28);
    let new = changed(Client::Docker, "--debug container run -dx v --link a img", &around);
    let expected =
        "--debug container run -dx v --annotation org.oci-link.links=a --runtime oci-link img";
    assert_eq!(new.as_deref(), Some(expected));
    assert_eq!(*around.asked.borrow(), [words("--debug container run --help")]);
}

#[test]
fn an_unknown_option_is_never_guessed() {
    for (client, help) in [(Client::Docker, DOCKER_28), (Client::Podman, PODMAN)] {
        let around = Told::with_help(help);
        let said = refused(client, "run --foo x --link a img", &around);
        let typed = "unknown option --foo: write --foo=VALUE, or --foo=true if it takes no value";
        assert_eq!(said, format!("{} run: {typed}", client.name()));
        let said = refused(client, "container create --link a -iz img", &around);
        assert!(said.starts_with(&format!("{} create: unknown option -z: ", client.name())));
        assert!(refused(client, "run --f\noo --link a", &around).contains("--f"));
        // With `=`, and without a link of ours, it does not matter what it is.
        assert!(changed(client, "run --foo=x -z=y --link a img", &around).is_some());
        assert_eq!(changed(client, "run --foo -e --link=x --bar img", &around_none(help)), None);
    }
    assert!(refused(Client::Podman, "run --foo --link a img", &Told::default()).contains("--foo"));
    assert_eq!(changed(Client::Podman, "run -e --link --foo img", &Told::default()), None);
}

/// As [`Told::with_help`], with an option `--foo` without a value.
fn around_none(_: &str) -> Told {
    Told::with_help("      --foo   x\n      --annotation map   x\n      --link list   x\n")
}

#[test]
fn docker_that_has_no_annotations_is_left_alone() {
    let line = "run --link a:b img";
    assert_eq!(changed(Client::Docker, line, &Told::with_help(DOCKER_20)), None);
    assert_eq!(changed(Client::Docker, line, &Told::default()), None, "no help");
    assert_eq!(changed(Client::Docker, line, &Told::with_help("")), None);
}

#[test]
fn podman_under_the_name_of_docker_is_podman() {
    let around = Told::with_help(PODMAN);
    let new = changed(Client::Docker, "run --network n1 --link a:b img", &around);
    assert_eq!(new.as_deref(), Some("run --network n1 --annotation org.oci-link.links=a:b img"));
}

#[test]
fn what_podman_cannot_express_is_refused() {
    let around = Told::with_help(PODMAN);
    for (line, why) in [
        ("run --link a:b:c img", "podman run: link \"a:b:c\": bad format"),
        ("run --link a:localhost img", "podman run: alias \"localhost\": reserved"),
        ("create --link a,b img", "podman create: link source \"a,b\""),
        ("run --link a:b·c img", "alias \"b c\""),
        ("run --link --link img", "link source \"--link\""),
        ("run --annotation k=v,org.oci-link.links=x --link a img", "as an option of its own"),
        ("run --annotation org.oci-link.links=x,k=v --link a img", "as an option of its own"),
        ("run --annotation \"org.oci-link.links=x\" --link a img", "as an option of its own"),
    ] {
        let said = refused(Client::Podman, line, &around);
        assert!(said.contains(why), "{line}: {said}");
    }
}

#[test]
fn the_runtime_is_named_unless_the_default_is_ours() {
    let default = "/etc/docker/daemon.json";
    for (file, runtime) in [
        ("{}", Some("oci-link")),
        ("not JSON", Some("oci-link")),
        ("[]", Some("oci-link")),
        (r#"{"default-runtime": "runc"}"#, Some("oci-link")),
        (r#"{"default-runtime": "oci-link"}"#, None),
        (r#"{"default-runtime": "l", "runtimes": {"l": {"path": "/b/oci-link-runc"}}}"#, None),
        (r#"{"default-runtime": "l", "runtimes": {"l": {"path": "/b/oci-link"}}}"#, None),
        (r#"{"runtimes": {"l": {"path": "/b/oci-link-crun"}}}"#, Some("l")),
        (
            r#"{"runtimes": {"a": {"path": "oci-link-crun"}, "oci-link": {"path": "/b/oci-link-runc"}}}"#,
            Some("oci-link"),
        ),
        (
            r#"{"default-runtime": "n", "runtimes": {"n": {"path": "/b/nvidia"}, "x": 7}}"#,
            Some("oci-link"),
        ),
    ] {
        let mut around = Told::with_help(DOCKER_28);
        around.files.insert(default, file);
        let new = changed(Client::Docker, "run --link a img", &around).unwrap();
        let rest = runtime.map(|name| format!(" --runtime {name}")).unwrap_or_default();
        assert_eq!(new, format!("run --annotation org.oci-link.links=a{rest} img"), "{file}");
    }
}

/// What a daemon elsewhere has for runtimes is not known.
#[test]
fn a_daemon_elsewhere_gets_the_call_unchanged() {
    let ours = r#"{"default-runtime": "oci-link"}"#;
    let told = |variables: &[(&'static str, &'static str)]| {
        let mut around = Told::with_help(DOCKER_28);
        around.files.extend([
            ("/etc/docker/daemon.json", ours),
            ("/home/u/.config/docker/daemon.json", ours),
            ("/home/u/.docker/contexts/meta/1/meta.json", r#"{"Name": "far", "Endpoints": {"docker": {"Host": "ssh://h"}}}"#),
            ("/home/u/.docker/contexts/meta/2/meta.json", r#"{"Name": "near", "Endpoints": {"docker": {"Host": "unix:///var/run/docker.sock"}}}"#),
        ]);
        around.variables.insert("HOME", "/home/u");
        around.variables.extend(variables.iter().copied());
        around
    };
    let current = |name: &str| if name == "far" { r#"{"currentContext": "far"}"# } else { "{}" };
    // "": the default runtime is ours, "r": it is not known, "-": unchanged.
    for (variables, globals, result) in [
        (&[][..], "", ""),
        (&[("DOCKER_HOST", "unix:///var/run/docker.sock")], "", ""),
        (&[("DOCKER_HOST", "unix:///tmp/d.sock")], "", "r"),
        (&[("DOCKER_HOST", "unix:///run/user/7/docker.sock")], "", ""),
        (&[("DOCKER_HOST", "unix:///r/docker.sock"), ("XDG_RUNTIME_DIR", "/r")], "", ""),
        (&[("DOCKER_HOST", "tcp://127.0.0.1:2375")], "", "-"),
        (&[("DOCKER_HOST", "ssh://h")], "", "-"),
        (&[("DOCKER_HOST", "ssh://h")], "-H unix:///var/run/docker.sock ", ""),
        (&[("DOCKER_HOST", "ssh://h")], "--context near ", ""),
        (&[("DOCKER_HOST", "ssh://h")], "-c default ", "-"),
        (&[("DOCKER_CONTEXT", "far")], "", "-"),
        (&[("DOCKER_CONTEXT", "near")], "", ""),
        (&[("DOCKER_CONTEXT", "default")], "", ""),
        (&[("DOCKER_CONTEXT", "gone")], "", "-"),
        (&[], "-H h:2375 ", "-"),
        (&[], "--host=unix:///tmp/d.sock ", "r"),
        (&[], "-c far ", "-"),
        (&[], "--config /other -c near ", "-"),
        (&[("DOCKER_CONFIG", "/other")], "-c near ", "-"),
        (&[("HOME", "/home/v")], "", ""),
    ] {
        let line = format!("{globals}run --link a img");
        let expected = match result {
            "-" => None,
            "r" => Some(format!(
                "{globals}run --annotation org.oci-link.links=a --runtime oci-link img"
            )),
            _ => Some(format!("{globals}run --annotation org.oci-link.links=a img")),
        };
        assert_eq!(
            changed(Client::Docker, &line, &told(variables)),
            expected,
            "{variables:?} {line}"
        );
    }
    let mut around = told(&[]);
    around.files.insert("/home/u/.docker/config.json", current("far"));
    assert_eq!(changed(Client::Docker, "run --link a img", &around), None);
    // A call that names its runtime needs no knowledge of the daemon.
    let new = changed(Client::Docker, "run --runtime x --link a img", &around);
    assert_eq!(new.as_deref(), Some("run --runtime x --annotation org.oci-link.links=a img"));
}

#[test]
fn arguments_need_not_be_text() {
    let odd = OsStr::from_bytes(b"A=\xff\xfe").to_owned();
    let word = OsString::from;
    let line =
        [word("run"), word("-e"), odd.clone(), word("--link"), word("a"), word("i"), odd.clone()];
    let new = rewrite(Client::Podman, &line, &Told::with_help(PODMAN)).unwrap().unwrap();
    let annotation = [word("--annotation"), word("org.oci-link.links=a")];
    assert_eq!(new, [&line[..3], &annotation, &line[5..]].concat());
    let link = [word("run"), word("--link"), odd, word("i")];
    assert_eq!(rewrite(Client::Docker, &link, &Told::with_help(DOCKER_28)).unwrap(), None);
    let said = rewrite(Client::Podman, &link, &Told::default()).unwrap_err().to_string();
    assert!(said.contains("not UTF-8") && said.is_ascii(), "{said}");
}

/// Words as they are in command lines, some of them odd.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "run", "create", "container", "-d", "-it", "-e", "-p", "80:80", "--name", "--name=w",
            "--rm", "--", "-", "", "img", "--network", "n1", "--annotation", "k=v", "-H", "x",
            "--annotation=org.oci-link.links=q", "--runtime", "-ditw", "--debug", "-x", "--new-flag",
        ]).prop_map(str::to_owned),
        1 => "-{0,2}[a-z=]{0,4}",
    ]
}

fn all() -> impl Strategy<Value = Vec<OsString>> {
    let link = prop::sample::select(vec!["--link", "--link=a:b", "a:b"]).prop_map(str::to_owned);
    let words = prop::collection::vec(prop_oneof![3 => word(), 2 => link], 0..12);
    words.prop_map(|words| words.into_iter().map(OsString::from).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_a_link_nothing_changes(words in prop::collection::vec(word(), 0..12), docker: bool) {
        let client = if docker { Client::Docker } else { Client::Podman };
        let around = Told::with_help(DOCKER_28);
        prop_assert_eq!(rewrite(client, &words.into_iter().map(OsString::from).collect::<Vec<_>>(), &around).ok(), Some(None));
        prop_assert!(around.asked.borrow().is_empty());
    }

    /// The image is a word that no option can be, so its place is known.
    #[test]
    fn what_follows_the_image_stays(before in all(), after in all(), docker: bool) {
        let client = if docker { Client::Docker } else { Client::Podman };
        let mut words = vec![OsString::from("run")];
        words.extend(before);
        words.push("--".into());
        words.push("THE-IMAGE".into());
        words.extend(after.iter().cloned());
        if let Ok(Some(new)) = rewrite(client, &words, &Told::with_help(DOCKER_28)) {
            let tail = [&["THE-IMAGE".into()], &after[..]].concat();
            prop_assert!(new.ends_with(&tail), "{:?} became {:?}", words, new);
        }
    }
}
