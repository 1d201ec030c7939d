//! containerd's CRI passes only those annotations that the runtime's entry allows. In its patterns `*` matches
//! no slash.

use super::check::{Check, advice};
use crate::sys::file::shown;
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// Files in which `configure` registers oci-link.
const FILES: [&str; 2] = ["etc/containerd/config.toml", "etc/containerd/conf.d/oci-link.toml"];
/// The prefix of our annotations.
const OURS: &str = "org.oci-link.";

/// One check for each runtime of containerd that is oci-link.
pub(crate) fn annotations(root: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    for file in FILES.map(|file| root.join(file)) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        // An invalid file is reported by the check of the engine.
        let Ok(parsed) = toml::from_str::<Table>(&text) else { continue };
        checks.extend(ours(&parsed).into_iter().map(|(name, runtime)| judge(&file, name, runtime)));
    }
    checks
}

/// The runtimes whose program has a name of oci-link.
fn ours(config: &Table) -> Vec<(&str, &Table)> {
    let plugins = config.get("plugins").and_then(Value::as_table);
    let runtimes = plugins
        .into_iter()
        .flat_map(Table::values)
        .filter_map(|plugin| plugin.get("containerd")?.get("runtimes")?.as_table());
    let tables =
        runtimes.flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_table()?)));
    tables.filter(|(_, runtime)| is_us(runtime)).collect()
}

fn is_us(runtime: &Table) -> bool {
    let binary = runtime.get("options").and_then(|options| options.get("BinaryName")?.as_str());
    let name = binary.and_then(|path| Path::new(path).file_name()?.to_str());
    name.is_some_and(|name| name.starts_with("oci-link"))
}

fn judge(file: &Path, name: &str, runtime: &Table) -> Check {
    let subject = format!("containerd annotations ({name})");
    let lists = ["container_annotations", "pod_annotations"];
    let without = |allows: fn(Option<&Value>) -> bool| -> Vec<&str> {
        lists.into_iter().filter(|list| !allows(runtime.get(*list))).collect()
    };
    let line = |list: &&str| format!("{list} = [\"{OURS}*\", \"{OURS}*/*\"]");
    let lacks = without(allows);
    if lacks.is_empty() {
        let lacks = without(allows_slashes);
        if lacks.is_empty() {
            return Check::ok(&subject, "passed to the runtime");
        }
        let cause = format!(
            "{}: {} lack {OURS}*/*: annotations for one container of a pod do not reach oci-link",
            shown(file),
            lacks.join(" and ")
        );
        let lines: Vec<String> = lacks.iter().map(line).collect();
        let fix = advice(format!("write into it, for runtime {name}: {}", lines.join(" and ")));
        return Check::trouble(false, &subject, &cause, fix);
    }
    let lines: Vec<String> = lacks.iter().map(line).collect();
    let cause = format!(
        "{}: {} lack {OURS}*: annotations do not reach oci-link",
        shown(file),
        lacks.join(" and ")
    );
    // Without the annotations of the container itself, its links are never seen.
    let grave = lacks.contains(&lists[0]);
    let fix = advice(format!("write into it, for runtime {name}: {}", lines.join(" and ")));
    Check::trouble(grave, &subject, &cause, fix)
}

/// Whether a pattern of the list matches our prefix.
fn allows(list: Option<&Value>) -> bool {
    let patterns = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    patterns.into_iter().any(|pattern| {
        let whole = pattern.strip_suffix('*').is_some_and(|start| OURS.starts_with(start));
        whole || pattern.starts_with(OURS)
    })
}

/// Whether a pattern of the list matches our keys with a slash.
fn allows_slashes(list: Option<&Value>) -> bool {
    let patterns = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut starts = patterns.filter_map(|pattern| pattern.strip_suffix("*/*"));
    starts.any(|start| OURS.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn judged(lists: &str) -> Vec<Check> {
        let text = format!(
            "[plugins.x.containerd.runtimes.runc]\nruntime_type = 't'\n\
             [plugins.x.containerd.runtimes.linked]\n{lists}\n\
             [plugins.x.containerd.runtimes.linked.options]\nBinaryName = '/b/oci-link-runc'\n"
        );
        let parsed: Table = toml::from_str(&text).unwrap();
        ours(&parsed).iter().map(|(name, runtime)| judge(Path::new("/c"), name, runtime)).collect()
    }

    #[test]
    fn a_list_that_passes_our_annotations() {
        let verdict = |lists: &str| judged(lists)[0].verdict;
        let both = |pattern: &str| {
            verdict(&format!(
                "container_annotations = ['{pattern}']\npod_annotations = ['{pattern}']"
            ))
        };
        for pattern in ["org.oci-link.*", "*", "org.*", "org.oci-link.links"] {
            let slashes = "', 'org.oci-link.*/*";
            assert_eq!(both(&format!("{pattern}{slashes}")), Verdict::Ok, "{pattern}");
            assert_eq!(both(pattern), Verdict::Warning, "{pattern}: without a slash");
        }
        assert_eq!(both("*', '*/*"), Verdict::Ok);
        assert_eq!(both("io.kubernetes.*"), Verdict::Fault);
        assert_eq!(verdict("container_annotations = ['*']"), Verdict::Warning);
        assert_eq!(judged("").len(), 1);
    }
}
