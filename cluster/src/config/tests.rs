use super::*;

const WHOLE: &str = r#"
state_dir = "/run/links"
[firewall]
backend = "auto"
[cluster]
name = "a"
networks = { a = ["10.10.1.0/24"], b = ["10.10.2.0/24"] }
patience = "15s"
endpoints = ["https://10.99.0.1:2379", "https://10.99.0.2"]
ca = "/etc/oci-link/ca.pem"
cert = "/etc/oci-link/host.pem"
key = "/etc/oci-link/host.key"
"#;

fn parse(text: &str) -> Result<Config> {
    Config::parse(Path::new("config.toml"), text)
}

fn refused(text: &str) -> String {
    let error = parse(text).expect_err(text);
    assert_eq!(error.status(), 3);
    error.to_string()
}

#[test]
fn the_whole_table() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.name, "a");
    assert_eq!(config.state_dir, Path::new("/run/links"));
    assert_eq!(config.endpoints.len(), 2);
    assert_eq!(config.key, Path::new("/etc/oci-link/host.key"));
    assert_eq!((config.ttl().as_secs(), config.proof_interval().as_secs()), (15, 3));
}

#[test]
fn times_follow_patience() {
    let of = |patience: &str| {
        let config = parse(&WHOLE.replace("15s", patience)).unwrap();
        (config.patience.as_secs(), config.ttl().as_secs(), config.proof_interval().as_millis())
    };
    assert_eq!(of("5s"), (5, 5, 1000));
    assert_eq!(of("5000ms"), (5, 5, 1000));
    assert_eq!(of("10m"), (600, 15, 5000));
    assert_eq!(of("24h"), (86_400, 15, 5000));
    let config = parse(&WHOLE.replace("patience = \"15s\"\n", "")).unwrap();
    assert_eq!(config.patience, PATIENCE);
    for bad in ["4999ms", "25h", "0s", "", "s", "15", "15 s", "-5s", "99999999999999999999s"] {
        let said = refused(&WHOLE.replace("15s", bad));
        assert!(said.contains("cluster.patience"), "{said}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    for (from, to, part) in [
        ("name = \"a\"", "name = \"A\"", "cluster.name"),
        ("name = \"a\"", "name = \"c\"", "lacks this host, c"),
        ("name = \"a\"", "nam = \"a\"", "line 6: unknown field `nam`"),
        ("https://10.99.0.2", "http://10.99.0.2", "cluster.endpoints"),
        ("\"/etc/oci-link/host.key\"", "\"host.key\"", "cluster.key: host.key is not an absolute"),
        ("\"/run/links\"", "\"links\"", "state_dir: links is not an absolute path"),
        ("ca = \"/etc/oci-link/ca.pem\"\n", "", "endpoints, ca, cert and key"),
        ("[cluster]", "[other]", "no table [cluster]"),
        ("[cluster]", "[cluster", "line 5"),
    ] {
        let said = refused(&WHOLE.replace(from, to));
        assert!(said.starts_with("config.toml: ") && said.contains(part), "{said}");
    }
    let none = WHOLE.replace(r#"["https://10.99.0.1:2379", "https://10.99.0.2"]"#, "[]");
    assert!(refused(&none).contains("names no endpoint"));
    let missing = Config::load(Path::new("/no/such/file")).expect_err("missing");
    assert!(missing.to_string().contains("/no/such/file: No such file"), "{missing}");
}
