//! Docker's own links (`docker run --link`, `links:` of Compose), as its files describe them: containers
//! that get nothing of ours, and links that oci-link leaves out.

use super::HostContext;
use super::check::Check;
use crate::configure::DockerVersion;
use crate::configure::docker_containers::{Made, containers, default_runtime, is_ours};
use crate::model::{Alias, Reference};
use serde_json::Value;
use std::fs;

/// Checks that are listed.
const SHOWN: usize = 20;

pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    let root = &context.question.root;
    let text = fs::read_to_string(root.join("etc/docker/daemon.json")).unwrap_or_default();
    let daemon: Value = serde_json::from_str(&text).unwrap_or_default();
    let all = containers(root, &daemon);
    let other = |made: &&Made| made.has_docker_links() && !made.replaces_links && !made.is_ours;
    let mut checks = Vec::new();
    if is_ours(&daemon["runtimes"][default_runtime(&daemon)]) {
        checks.extend(all.iter().filter(other).map(|made| {
            let cause = format!("has links, but its runtime is {}, and not oci-link", made.runtime);
            Check::warning(&format!("container {}", made.name), cause, made.again())
        }));
    } else {
        let count = all.iter().filter(other).count();
        let version = (count > 0).then(|| DockerVersion::installed(root)).flatten();
        checks.extend(without_us(count, version.as_ref()));
    }
    checks.extend(all.iter().filter(|made| made.is_ours).flat_map(|made| left_out(made, &all)));
    if checks.len() > SHOWN {
        let more = format!("{} more problems with links of docker", checks.len() - SHOWN);
        checks.truncate(SHOWN);
        checks.push(Check::warning("links of docker", more, "docker inspect"));
    }
    checks
}

/// Judges a host on which `count` containers have links, and oci-link is not the default runtime.
fn without_us(count: usize, version: Option<&DockerVersion>) -> Option<Check> {
    let version = version.filter(|_| count > 0)?;
    if version.has_variables() {
        return Some(Check::ok("links of docker", version.meaning()));
    }
    let (containers, have) = if count == 1 { ("container", "has") } else { ("containers", "have") };
    let cause = format!("docker {version} makes no variables: {count} {containers} {have} links");
    Some(Check::warning("links of docker", cause, "oci-link configure docker --default"))
}

/// The links on the default bridge that oci-link leaves out. Docker may still make their hosts lines.
fn left_out<'a>(made: &'a Made, all: &'a [Made]) -> impl Iterator<Item = Check> + 'a {
    let mut aliases = Vec::new();
    let links = if made.replaces_links { &[][..] } else { &made.links };
    links.iter().filter_map(move |link| {
        let (why, fix) = match split(link) {
            None => ("is not source[:alias]", "create it again with another --link"),
            Some((_, alias)) if aliases.contains(&alias) => {
                return None; // Compose repeats links. Docker takes the first of an alias.
            }
            Some((source, alias)) => {
                aliases.push(alias);
                problem(made, source, alias, all)?
            }
        };
        let cause = format!("its link {link} is left out: {why}");
        Some(Check::warning(&format!("container {}", made.name), cause, fix))
    })
}

/// Splits a link as docker does: only a leading slash is removed from the source, and all before the last
/// slash from the alias.
fn split(link: &str) -> Option<(&str, &str)> {
    let mut parts = link.split(':');
    let source = parts.next()?;
    let source = source.strip_prefix('/').unwrap_or(source);
    let alias = parts.next().unwrap_or(source);
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    (parts.next().is_none() && !source.is_empty() && !alias.is_empty()).then_some((source, alias))
}

/// Why a link is left out, and the fix.
fn problem(
    made: &Made,
    source: &str,
    alias: &str,
    all: &[Made],
) -> Option<(&'static str, &'static str)> {
    let other_alias = "create it again with another alias";
    if Alias::new(alias).is_err() {
        return Some(("its alias has a character that a hosts file cannot have", other_alias));
    }
    if alias.eq_ignore_ascii_case("localhost") {
        return Some(("localhost is the container itself", other_alias));
    }
    if alias.eq_ignore_ascii_case(&made.hostname) {
        return Some(("its alias is the host name of the container", other_alias));
    }
    if source == made.name || Reference::new(source).is_err() {
        return Some(("its source is the container itself, or no name", "remove the link"));
    }
    let known = all.iter().find(|other| other.name == source)?;
    (!known.is_on_bridge()).then_some((
        "its source is not on the default bridge",
        "connect both to one network, or name the network in both",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn made(name: &str, links: &[&str]) -> Made {
        let mut made = Made::default();
        made.links.extend(links.iter().map(|link| (*link).to_owned()));
        name.clone_into(&mut made.name);
        "0123456789ab".clone_into(&mut made.hostname);
        made
    }

    fn reasons(recipient: &Made) -> Vec<String> {
        let mut elsewhere = made("outside", &[]);
        "n1".clone_into(&mut elsewhere.network);
        let all = [made("db", &[]), elsewhere];
        left_out(recipient, &all).map(|check| check.detail).collect()
    }

    #[test]
    fn links_that_are_taken_over() {
        let links = ["db:mysql", "db", "/db:/web/x", "db:mysql", "db2:mysql", "1c566:store"];
        assert_eq!(reasons(&made("web", &links)), [""; 0]);
    }

    #[test]
    fn links_that_are_left_out() {
        for (link, why) in [
            ("a:b:c", "source[:alias]"),
            ("", "source[:alias]"),
            (":x", "source[:alias]"),
            ("db:", "source[:alias]"),
            ("db:a b", "character"),
            ("db:localhost", "localhost"),
            ("db:0123456789AB", "host name"),
            ("web:x", "itself"),
            ("outside:posts", "not on the default bridge"),
        ] {
            let said = reasons(&made("web", &[link, "db:ok"]));
            assert_eq!(said.len(), 1, "{link}: {said:?}");
            assert!(said[0].contains(why), "{link}: {said:?}");
        }
        let mut replaced = made("web", &["a:b:c"]);
        replaced.replaces_links = true;
        assert_eq!(reasons(&replaced), [""; 0]);
    }

    #[test]
    fn docker_without_us() {
        let version = |text: &str| DockerVersion::parse(&format!("Docker version {text}")).unwrap();
        let [old, new] = ["28.5.2", "29.7.0"].map(version);
        let verdict = |count, version| without_us(count, version).map(|check| check.verdict);
        assert_eq!(verdict(1, Some(&new)), Some(Verdict::Warning));
        assert_eq!(verdict(0, Some(&new)), None);
        assert_eq!(verdict(1, Some(&old)), Some(Verdict::Ok));
        assert_eq!(verdict(1, None), None);
    }
}
