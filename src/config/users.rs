//! config.toml for the containers of a user: the user's own file, over some keys of root's.
//!
//! Root's file is about root's containers: its state directory, log and bridges are not those of a user, who
//! may not even read the file. What says how links look and which programs are used holds for all.

use super::{CONFIG_FILE, Config, MAX_CONFIG, any_text, read};
use crate::error::{Context, Kind, Result};
use crate::sys::file::{read_followed, shown};
use crate::sys::site::Whose;
use crate::sys::users;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Reads the configuration for `whose` containers. `path` is the file that was named, or root's. A file that
/// was named is the only one, with all its keys.
pub(super) fn load(whose: Whose, path: &Path) -> Result<Config> {
    let usual = Config { state_dir: whose.state_dir(), ..Config::default() };
    if path != Path::new(CONFIG_FILE) {
        let text = read(path)?.unwrap_or_default();
        return alone(Config::parse_over(&shown(path), &text, usual));
    }
    // An unreadable file of root's is as good as absent.
    let of_root = read(path).ok().flatten().unwrap_or_default();
    let usual = below(Config::parse(&shown(path), &of_root)?, usual);
    match own_file(whose) {
        Some(own) => alone(Config::parse_over(&shown(&own), &read_own(&own)?, usual)),
        None => Ok(usual),
    }
}

/// What can be used of files of which one is bad.
pub(super) fn salvage(whose: Whose, path: &Path) -> Config {
    let usual = Config { state_dir: whose.state_dir(), ..Config::default() };
    if path != Path::new(CONFIG_FILE) {
        return Config { cluster: None, ..Config::salvage(&any_text(path), usual) };
    }
    let of_root = Config::salvage(&any_text(path), Config::default());
    let usual = below(of_root, usual);
    let own = own_file(whose).map(|own| Config::salvage(&any_text(&own), usual.clone()));
    Config { cluster: None, ..own.unwrap_or(usual) }
}

/// Leaves out `[cluster]`: the bridges of a user's containers have no routes to other hosts.
fn alone(config: Result<Config>) -> Result<Config> {
    config.map(|config| Config { cluster: None, ..config })
}

/// Takes those keys of root's file that concern users too.
fn below(of_root: Config, usual: Config) -> Config {
    let Config { firewall, bind, dialect, wait, runtime, .. } = of_root;
    Config { firewall, bind, dialect, wait, runtime, ..usual }
}

/// The user's file. The variable HOME is not asked: it is missing when a container starts.
pub(crate) fn own_file(whose: Whose) -> Option<PathBuf> {
    Some(users::home(Path::new("/"), whose.uid()?)?.join(".config/oci-link/config.toml"))
}

/// Reads the user's file, which may be behind symbolic links. A missing one is empty.
pub(super) fn read_own(path: &Path) -> Result<String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        _ => {}
    }
    let bytes = read_followed(path, MAX_CONFIG)?;
    String::from_utf8(bytes).context(Kind::Input, || shown(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::Choice;
    use crate::link::env::Dialect;
    use crate::model::BackendName;
    use std::time::Duration;

    const OF_ROOT: &str = "state_dir = '/var/lib/x'\n[firewall]\nbackend = 'nftables'\n\
        isolate = ['br0']\n[env]\ndialect = '27'\n[links]\nwait = '9s'\n[docker]\nlinks = 'all'\n\
        [runtime]\ncommand = '/r'\n[log]\nlevel = 'debug'\nfile = '/var/log/x'\n";

    #[test]
    fn root_decides_a_few_keys_below_those_of_the_user() {
        let usual = Config { state_dir: "/run/user/7/oci-link".into(), ..Config::default() };
        let of_root = Config::parse("c", OF_ROOT).unwrap();
        let config = below(of_root, usual.clone());
        let expected = Config {
            firewall: Choice::Fixed(BackendName::Nftables),
            dialect: Dialect::V27,
            wait: Duration::from_secs(9),
            runtime: Some("/r".into()),
            ..usual
        };
        assert_eq!(config, expected);
        assert_eq!(Config::parse_over("own", "", config.clone()).unwrap(), expected);
        let own = "[firewall]\nbackend = 'auto'\nisolate = ['podman1']\n[env]\ndialect = '28'\n\
                   [log]\nfile = '/l'\n";
        let own = Config::parse_over("own", own, config).unwrap();
        assert_eq!((own.firewall, own.dialect), (Choice::Auto, Dialect::V28));
        assert_eq!((own.wait, own.isolate.len()), (Duration::from_secs(9), 1));
        assert_eq!((own.log_file, own.runtime), (Some("/l".into()), Some("/r".into())));
    }

    #[test]
    fn a_users_containers_are_on_one_host() {
        let text = "[cluster]\nname = 'a'\nnetworks = { a = ['10.0.0.0/24'] }";
        let config = Config::parse("c", text).unwrap();
        assert!(config.cluster.is_some());
        assert_eq!(alone(Ok(config.clone())).unwrap(), Config::default());
        assert_eq!(below(config, Config::default()), Config::default());
    }

    #[test]
    fn a_bad_file_of_the_user_leaves_the_rest() {
        let usual = Config { runtime: Some("/r".into()), ..Config::default() };
        let config = Config::salvage("nonsense = 1\n[log]\nfile = '/l'", usual);
        assert_eq!((config.runtime, config.log_file), (Some("/r".into()), Some("/l".into())));
    }
}
