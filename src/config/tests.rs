use super::*;

#[test]
fn an_empty_file_means_the_defaults() {
    let config = Config::parse("c", "").unwrap();
    assert_eq!(config.state_dir, Path::new("/run/oci-link"));
    assert_eq!((config.firewall, config.dialect), (Choice::Auto, Dialect::V28));
    assert_eq!(config.wait, Duration::from_secs(30));
    assert_eq!((config.docker_links, config.network_env), (TakesOver::DefaultBridge, false));
}

#[test]
fn all_keys() {
    let text = "state_dir = '/s'\n[firewall]\nbackend = 'none'\n[env]\ndialect = '27'\n\
                [links]\nwait = '45s'\n[docker]\nlinks = 'all'\nnetwork_env = true\n[log]\nlevel = 'debug'\nfile = '/l'\n";
    let config = Config::parse("c", text).unwrap();
    assert_eq!(config.firewall, Choice::Fixed(BackendName::None));
    assert_eq!(config.dialect, Dialect::V27);
    assert_eq!(config.wait, Duration::from_secs(45));
    assert_eq!((config.docker_links, config.network_env), (TakesOver::All, true));
    for (text, expected) in
        [("none", TakesOver::None), ("default-bridge", TakesOver::DefaultBridge)]
    {
        let config = Config::parse("c", &format!("[docker]\nlinks = '{text}'")).unwrap();
        assert_eq!((config.docker_links, config.network_env), (expected, false));
    }
    assert_eq!((config.log_level, config.log_file), (LevelFilter::Debug, Some("/l".into())));
}

#[test]
fn a_bad_file_is_used_as_far_as_possible() {
    let config = Config::salvage(
        "state_dir = '/s'\nnonsense = 1\n[log]\nfile = 3\nlevel = 'x'\n",
        Config::default(),
    );
    assert_eq!((config.state_dir, config.log_file), ("/s".into(), None));
    let config = Config::salvage(
        "[runtime]\ncommand = '/r'\n[firewall]\nbackend = 'none'\nx = 1",
        Config::default(),
    );
    assert_eq!(config.runtime, Some("/r".into()));
    assert_eq!(config.firewall, Choice::Fixed(BackendName::None));
    for text in ["", "[", "\u{fffd}\0", "state_dir = 3\n[firewall]\nbackend = ['x']"] {
        assert_eq!(Config::salvage(text, Config::default()), Config::default(), "{text}");
    }
}

#[test]
fn an_error_names_its_line() {
    let error = |text: &str| Config::parse("c", text).unwrap_err().to_string();
    assert!(error("[env]\n\ndialekt = '27'").starts_with("c line 3: unknown field"));
    assert!(error("[env]\ndialect = '26'").starts_with("c line 2: "));
    assert!(error("x").starts_with("c line 1: "));
    assert!(error("[docker]\nlinks = 'bridge'").starts_with("c line 2: "));
    assert!(error("[docker]\n\nnetwork_env = 'yes'").starts_with("c line 3: "));
    assert!(error("\n[log]\nlevel = 'loud'").starts_with("c line 3: log.level \"loud\": want"));
    for wait in ["0s", "11m", "30", "auto", ""] {
        let message = error(&format!("[links]\nwait = '{wait}'"));
        assert!(message.starts_with("c line 2: links.wait "), "{message}");
    }
    let isolate = "[firewall]\nisolate = [\n'br0',\n'a/b']";
    assert!(error(isolate).starts_with("c line 4: firewall.isolate: "), "{}", error(isolate));
}
