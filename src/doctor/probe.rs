//! `--probe`: connects from each recipient to the TCP ports of its sources.
//!
//! Rules that look right do not prove that packets get through. A connection does.

use super::HostContext;
use super::check::{Check, advice};
use crate::model::{Family, Flow, PortRange, Protocol, Record};
use crate::sys::net::dial::{Answer, from_inside};
use crate::sys::net::netns::Process;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Connections that are tried from one recipient; they are tried at once.
const PER_RECIPIENT: usize = 64;
/// Recipients that are tried. Each takes [`PATIENCE`] at most.
const RECIPIENTS: usize = 64;

/// A port of a source, and its answer at one address.
struct Tried<'a> {
    source: &'a str,
    flow: Flow,
    answer: Answer,
}

/// Checks of every port that a link opens, if `--probe` is given.
pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    if !context.question.probe {
        return Vec::new();
    }
    let linked = context.running.iter().filter(|record| flows(record).next().is_some());
    let recipients: Vec<&Record> = linked.collect();
    let mut checks: Vec<Check> = recipients
        .iter()
        .take(RECIPIENTS)
        .flat_map(|recipient| probe(recipient, &context.running))
        .collect();
    if recipients.len() > RECIPIENTS {
        let left = recipients.len() - RECIPIENTS;
        checks.push(Check::ok("probe", format!("{left} more containers are not tried")));
    }
    if checks.is_empty() {
        checks.push(Check::ok("probe", "no link opens a TCP port"));
    }
    checks
}

/// The flows that a TCP connection can try. Of a range the first and the last port are tried.
fn flows(record: &Record) -> impl Iterator<Item = Flow> + '_ {
    let tcp = record.flows.iter().filter(|flow| flow.ports.protocol() == Protocol::Tcp);
    tcp.flat_map(|flow| {
        let last = Some(flow.ports.last()).filter(|_| !flow.ports.is_single());
        let ends = [Some(flow.ports.first()), last].into_iter().flatten();
        let single = |number| PortRange::single(number, Protocol::Tcp);
        ends.filter_map(single).map(|ports| Flow { ports, ..*flow })
    })
}

fn probe(recipient: &Record, running: &[Record]) -> Vec<Check> {
    let all: Vec<Flow> = flows(recipient).collect();
    let tried = &all[..all.len().min(PER_RECIPIENT)];
    let targets: Vec<_> = tried.iter().map(|it| SocketAddr::new(it.to, it.ports.first())).collect();
    let answers = Process::pin(recipient.instance.pid)
        .and_then(|process| from_inside(&process, &targets, PATIENCE));
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            let subject = format!("probe from {}", recipient.name);
            return vec![Check::warning(
                &subject,
                error.to_string(),
                advice("call it as root: sudo oci-link doctor --probe"),
            )];
        }
    };
    let named = tried.iter().zip(answers).map(|(flow, answer)| {
        let source = source_of(recipient, running, flow);
        Tried { source, flow: *flow, answer }
    });
    let mut checks = judge(recipient.name.as_str(), &named.collect::<Vec<_>>());
    if all.len() > PER_RECIPIENT {
        let subject = format!("probe from {}", recipient.name);
        let left = all.len() - PER_RECIPIENT;
        checks.push(Check::ok(&subject, format!("{left} more ports are not tried")));
    }
    checks
}

/// The name of the source at the end of a flow.
fn source_of<'a>(recipient: &Record, running: &'a [Record], flow: &Flow) -> &'a str {
    let is_it = |record: &&Record| {
        recipient.alias_of(&record.id).is_some()
            && record.network.addresses().iter().any(|address| address.ip() == flow.to)
    };
    running.iter().find(is_it).map_or("unknown", |source| source.name.as_str())
}

/// One check for each port of each source, over both families.
fn judge(recipient: &str, tried: &[Tried<'_>]) -> Vec<Check> {
    let mut ports: Vec<(&str, PortRange)> = Vec::new();
    for Tried { source, flow, .. } in tried {
        if !ports.contains(&(source, flow.ports)) {
            ports.push((source, flow.ports));
        }
    }
    let check = |(source, port): (&str, PortRange)| {
        let its = |it: &&Tried<'_>| it.source == source && it.flow.ports == port;
        let subject = format!("{recipient} -> {source} {port}");
        let with = |answer| tried.iter().filter(its).find(|it| it.answer == answer);
        let (silent, answers) = (with(Answer::Nothing), with(Answer::Answers));
        match (silent, answers) {
            (Some(Tried { flow, .. }), Some(_)) => {
                let family = if Family::of(flow.to) == Family::V4 { "IPv4" } else { "IPv6" };
                let cause = format!("no answer by {family}, at {}", flow.to);
                Check::fault(&subject, cause, advice(SILENT))
            }
            (Some(_), None) => Check::fault(&subject, "no answer", advice(SILENT)),
            (None, Some(_)) => Check::ok(&subject, "answers"),
            (None, None) => {
                let fix =
                    format!("start the server in {source}, on all addresses of the container");
                Check::warning(&subject, "refused", advice(fix))
            }
        }
    };
    ports.into_iter().map(check).collect()
}

/// What to do about a port that does not answer.
const SILENT: &str = "see the other checks; then the firewall and the routes of both containers";

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::model::sample::record;

    fn tried(source: &'static str, to: &str, port: u16, answer: Answer) -> Tried<'static> {
        let to = to.parse().unwrap();
        let ports = PortRange::single(port, Protocol::Tcp).unwrap();
        Tried { source, flow: Flow { from: to, to, ports, bridge: None }, answer }
    }

    #[test]
    fn one_check_for_each_port_says_what_answers() {
        let found = judge(
            "web",
            &[
                tried("db", "10.0.0.2", 3306, Answer::Answers),
                tried("db", "10.0.0.2", 3307, Answer::Refused),
                tried("mq", "10.0.0.3", 3306, Answer::Nothing),
                tried("db", "fd00::2", 3306, Answer::Refused),
                tried("six", "10.0.0.4", 80, Answer::Answers),
                tried("six", "fd00::4", 80, Answer::Nothing),
            ],
        );
        let expected = [
            (Verdict::Ok, "web -> db 3306/tcp", "answers"),
            (Verdict::Warning, "web -> db 3307/tcp", "refused; start the server in db"),
            (Verdict::Fault, "web -> mq 3306/tcp", "no answer; see the other checks"),
            (Verdict::Fault, "web -> six 80/tcp", "no answer by IPv6, at fd00::4; see the "),
        ];
        assert_eq!(found.len(), expected.len());
        for (it, (verdict, subject, detail)) in found.iter().zip(expected) {
            assert_eq!((it.verdict, it.subject.as_str()), (verdict, subject));
            assert!(it.detail.starts_with(detail), "{}", it.detail);
        }
    }

    #[test]
    fn of_a_range_both_ends_are_tried() {
        let mut web = record("web", "none", &["10.0.0.4/24"]);
        let ports = PortRange::new(7000, 7010, Protocol::Tcp).unwrap();
        web.flows = vec![Flow { ports, ..tried("", "10.0.0.2", 80, Answer::Answers).flow }];
        let shown: Vec<String> = flows(&web).map(|flow| flow.ports.to_string()).collect();
        assert_eq!(shown, ["7000/tcp", "7010/tcp"]);
    }

    #[test]
    fn the_source_of_a_flow_is_one_that_is_linked() {
        let mut web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
        let (db, peer) =
            (record("db", "80", &["10.0.0.2/24"]), record("p", "80", &["10.0.0.2/24"]));
        web.links[0].source = Some(db.id.clone());
        let flow = tried("", "10.0.0.2", 80, Answer::Answers).flow;
        assert_eq!(source_of(&web, &[peer, db], &flow), "db");
        assert_eq!(source_of(&web, &[], &flow), "unknown");
    }
}
