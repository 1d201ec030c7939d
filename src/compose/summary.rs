//! What a conversion did, in words.

use super::ComposeOptions;
use super::decide::Wanted;
use super::services::Service;

/// What was converted, and which services take part in no link: a service that only another project
/// links to looks like them.
pub(crate) fn summary(
    services: &[Service],
    wanted: &[Wanted],
    options: &ComposeOptions<'_>,
) -> Vec<String> {
    let links = |service: &Service| {
        service.links().map_or(0, |both| both.iter().map(Vec::len).sum::<usize>())
    };
    let counts: Vec<usize> = services.iter().map(links).collect();
    let (all, linked) = (counts.iter().sum::<usize>(), counts.iter().filter(|n| **n > 0).count());
    let mut lines = vec![format!("{} of {} converted", many(all, "link"), many(linked, "service"))];
    let is_alone = |wanted: &&Wanted| {
        let is_ours = |key: &String| key.starts_with("org.oci-link.");
        wanted.runtime.is_none() && !wanted.annotations.keys().any(is_ours)
    };
    let is_source = |service: &Service| {
        let key = |wanted: &Wanted| wanted.depends_on.contains_key(&service.name);
        wanted.iter().any(key)
    };
    let alone = services.iter().zip(wanted).filter(|(service, wanted)| {
        is_alone(wanted) && (options.runtime.is_some() || !is_source(service))
    });
    let alone: Vec<&str> = alone.map(|(service, _)| service.name.as_str()).collect();
    if all > 0 && !alone.is_empty() {
        let missing =
            options.runtime.map_or("org.oci-link.name", |_| "org.oci-link.name and runtime");
        lines.push(format!(
            "no link in this file: {}; if another project links to them, add {missing}",
            alone.join(", ")
        ));
    }
    lines
}

fn many(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
