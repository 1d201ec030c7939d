//! What becomes of a link.

use super::*;
use crate::model::sample::record;

#[test]
fn what_becomes_of_a_link_depends_on_what_is_found() {
    let web = record("web", "none", &[]).linked(&["db"]);
    let links = [web.links[0].link.clone()];
    let db = record("db", "80", &["10.0.0.2/24"]);
    let on_host = Record { network: Network::Host, ..db.clone() };
    let on_pasta = Record { network: Network::NoBridge(NoBridge::Pasta), ..db.clone() };
    let record = Record { host: HostName::new("b").ok(), ..db.clone() };
    let there = Box::new(There { record, until: Duration::ZERO });
    let outcome = |candidate: &Candidate, absent| {
        let candidates = std::slice::from_ref(candidate);
        match resolve(RecipientNames::of(&web), &links, candidates, absent).as_deref() {
            Ok([Some(_)]) => "linked",
            Ok([None]) => "unconnected",
            Ok(_) => "forgotten",
            Err(_) => "refused",
        }
    };
    let always = ["linked"; 3];
    let absent = ["refused", "unconnected", "unconnected"];
    let wrong = ["refused", "refused", "unconnected"];
    for (candidate, expected) in [
        (Candidate::Running(Box::new(db.clone())), always),
        (Candidate::Stopped(db.name), absent),
        (Candidate::Missing, absent),
        (Candidate::Unmanaged, absent),
        (Candidate::Deferred, ["unconnected"; 3]),
        (Candidate::Running(Box::new(on_host)), wrong),
        (Candidate::Running(Box::new(on_pasta)), wrong),
        (Candidate::Ambiguous, wrong),
        (Candidate::Several(vec!["a/x".to_owned(), "b/x".to_owned()]), wrong),
        (Candidate::Itself, wrong),
        (Candidate::There(there), always),
        (Candidate::NotThere(Refusal::HostNetwork), absent),
        (Candidate::OnHosts(vec!["db@b".to_owned(), "db@c".to_owned()]), wrong),
    ] {
        let all = [OnMissing::Refuse, OnMissing::Defer, OnMissing::Leave];
        assert_eq!(all.map(|absent| outcome(&candidate, absent)), expected, "{candidate:?}");
        let awaited = matches!(
            candidate,
            Candidate::Stopped(_) | Candidate::Missing | Candidate::NotThere(_)
        );
        assert_eq!(candidate.is_absence(), awaited, "{candidate:?}");
    }
}
