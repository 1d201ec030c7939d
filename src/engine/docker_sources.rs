//! Docker's files about all of its containers: `<data-root>/containers/*/`.
//!
//! `config.v2.json` has the name, the state and whether a user stopped the container.
//! `hostconfig.json` has the restart policy and the annotations. dockerd writes both before it
//! calls the runtime, each by rename.
//!
//! When dockerd starts, it starts containers of the policy `always` even if they were stopped. After
//! a crash it has itself stopped what still ran, and marked it as a user's stop would (28.5).

use super::docker_links::is_id;
use super::sources::{Activity, Sibling, Siblings};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ContainerName, Reference, parse_links};
use crate::oci::json;
use crate::sys::{file, process};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// dockerd's pid file. dockerd writes it when it starts, before it starts containers.
const PID_FILE: &str = "/run/docker.pid";
/// Limit of container directories that are read.
const MAX_CONTAINERS: usize = 10_000;
/// Size limit of one file.
const MAX_FILE: u64 = 8 << 20;
/// Limit of bytes that are read of all files together.
const MAX_TOTAL: usize = 256 << 20;
/// Size limit of a pid file.
const MAX_PID: u64 = 64;
/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_1970: i64 = 719_468;
/// Size limit of an annotation, as in config.json.
const MAX_VALUE: usize = 64 << 10;

/// Reads all containers below `containers`. A container whose files cannot be read makes the
/// result incomplete.
pub(super) fn read(containers: &Path) -> Result<Siblings> {
    read_of(containers, daemon_start(Path::new(PID_FILE)))
}

/// `since` is the time when dockerd started, in seconds since 1970.
pub(super) fn read_of(containers: &Path, since: Option<i64>) -> Result<Siblings> {
    let entries = fs::read_dir(containers).context(Kind::Input, || file::shown(containers))?;
    let (mut all, mut is_complete, mut total) = (Vec::new(), true, 0);
    let names = entries.map_while(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| is_id(name)) {
        if all.len() == MAX_CONTAINERS || total > MAX_TOTAL {
            is_complete = false;
            break;
        }
        match sibling(&containers.join(&name), name, (since, &mut total)) {
            Ok(sibling) => all.push(sibling),
            Err(error) => {
                log::debug!("{error}");
                is_complete = false;
            }
        }
    }
    Ok(Siblings::new(all, is_complete))
}

/// Returns when the dockerd of this pid file started, if it runs.
fn daemon_start(file: &Path) -> Option<i64> {
    let written = fs::metadata(file).ok()?.mtime();
    let pid = file::read_text(file, MAX_PID, Kind::Input).ok()?.trim().parse().ok()?;
    process::start_time(pid).ok().flatten().map(|_| written)
}

fn sibling(
    directory: &Path,
    id: String,
    (since, total): (Option<i64>, &mut usize),
) -> Result<Sibling> {
    let mut read = |name: &str| -> Result<Vec<u8>> {
        let bytes = file::read(&directory.join(name), MAX_FILE, Kind::Input)?;
        *total += bytes.len();
        Ok(bytes)
    };
    let text = read("config.v2.json")?;
    let config: ContainerFile<'_> = json::parse("config.v2.json", &text)?;
    if config.id != id {
        return Err(Error::new(Kind::Input, "config.v2.json: belongs to another container"));
    }
    let host = read("hostconfig.json").and_then(|text| host_config(&text));
    let host = host.unwrap_or_else(|error| {
        log::debug!("{id}: restart policy and annotations are unknown: {error}");
        HostConfig::default()
    });
    let name = config.name.strip_prefix('/').unwrap_or(&config.name).to_owned();
    let annotated = host.name.filter(|annotated| *annotated != name);
    let activity = config.activity(host.policy, since);
    let names = std::iter::once(name).chain(annotated).collect();
    Ok(Sibling { id, names, activity, sources: host.sources })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerFile<'a> {
    #[serde(borrow, rename = "ID")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    state: State<'a>,
    #[serde(default)]
    has_been_manually_stopped: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State<'a> {
    running: bool,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    dead: bool,
    #[serde(default)]
    removal_in_progress: bool,
    #[serde(borrow, default)]
    started_at: Option<Cow<'a, str>>,
}

impl ContainerFile<'_> {
    /// After a crash or a reboot the file calls containers running that are not, so the process is
    /// looked at. Between two attempts of a restart Docker writes `Running` and no pid.
    fn activity(&self, policy: Policy, since: Option<i64>) -> Activity {
        let state = &self.state;
        // A process that cannot be seen is not treated as dead.
        let lives = || process::start_time(state.pid).map_or(true, |started| started.is_some());
        if state.running && state.pid > 0 && lives() {
            return Activity::Running;
        }
        // This dockerd has not started it yet, and may have stopped it itself.
        let is_due = || {
            let started = state.started_at.as_deref().and_then(seconds);
            policy == Policy::Always && started.zip(since).is_some_and(|(at, since)| at < since)
        };
        let starts = policy != Policy::No && (!self.has_been_manually_stopped || is_due());
        let is_going = state.dead || state.removal_in_progress;
        if starts && !is_going { Activity::Restarts } else { Activity::Stopped }
    }
}

/// The restart policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Policy {
    #[default]
    No,
    /// `unless-stopped` or `on-failure`.
    UnlessStopped,
    Always,
}

/// Parses a time in UTC as Docker writes it, such as `2026-11-22T17:48:07.511679312Z`. Returns
/// seconds since 1970.
fn seconds(time: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = time.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    if !time.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Years that begin in March, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_BEFORE_1970;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// What links need of hostconfig.json.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HostConfig {
    policy: Policy,
    /// `org.oci-link.name`.
    name: Option<String>,
    /// The sources in `org.oci-link.links`.
    sources: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfigFile<'a> {
    #[serde(borrow, default)]
    restart_policy: Option<RestartPolicy<'a>>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RestartPolicy<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// The annotations that links need.
#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow, default, rename = "org.oci-link.name")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "org.oci-link.links")]
    links: Option<Cow<'a, str>>,
}

/// Parses hostconfig.json. Annotations that are not understood count as none: the policy counts
/// without them.
pub(crate) fn host_config(text: &[u8]) -> Result<HostConfig> {
    let file: HostConfigFile<'_> = json::parse("hostconfig.json", text)?;
    let policy = match file.restart_policy.and_then(|policy| policy.name).as_deref() {
        Some("always") => Policy::Always,
        Some("unless-stopped" | "on-failure") => Policy::UnlessStopped,
        _ => Policy::No,
    };
    let annotations = file.annotations.map_or("null", RawValue::get);
    let annotations: Option<Annotations<'_>> = serde_json::from_str(annotations).unwrap_or(None);
    let (name, links) = annotations.map_or((None, None), |ours| (ours.name, ours.links));
    let links = links.filter(|links| links.len() <= MAX_VALUE);
    let links = links.and_then(|links| parse_links(&links).ok()).unwrap_or_default();
    Ok(HostConfig {
        policy,
        name: name.filter(|name| ContainerName::new(name).is_ok()).map(Cow::into_owned),
        sources: links.into_iter().map(|link| link.source).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T17:48:07.511679312Z", Some(1_795_369_687)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("2026-11-22T17:48:07+01:00", None),
            ("2026-1é-22T17:48:07Z", None),
            ("Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pid_file_counts_while_its_process_lives() {
        let file = std::env::temp_dir().join(format!("oci-link-pid-{}", std::process::id()));
        assert_eq!(daemon_start(&file), None);
        fs::write(&file, std::process::id().to_string()).unwrap();
        assert_eq!(daemon_start(&file), fs::metadata(&file).ok().map(|file| file.mtime()));
        for dead in ["", "x", "-1", "2147483647"] {
            fs::write(&file, dead).unwrap();
            assert_eq!(daemon_start(&file), None, "{dead}");
        }
        fs::remove_file(&file).unwrap();
    }
}
