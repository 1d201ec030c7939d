//! Finding a link's source among many records, in process, by the library.

use crate::{
    place::Place,
    report::{NOTHING, Report, Target},
    sample::{Series, command},
};
use oci_link::testing::Directory;
use oci_link::testing::{
    Address, Admitted, BackendName, ContainerId, ContainerName, Hostname, Instance, Network,
    OwnerTag, Phase, PortSet, Record, Reference, Share, StateId,
};
use oci_link::testing::{Change, Commit, Found, Store, open_store};
use std::time::Instant;

const LOOKUPS: u32 = 1000;
/// The target: times the same among the fewest records, which a processor's caches hold.
const GROWTH: f64 = 2.0;

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let directory = Directory::open(&place.directory("records")).expect("directory opens");
    let store = open_store(directory.into()).expect("store opens");
    let (mut size, mut fewest) = (0, Vec::new());
    for records in [10, 1000, 100_000] {
        for number in size..records {
            publish(store.as_ref(), number);
        }
        size = records;
        let mut nothing = Series::default();
        let mut by = [
            ("name", Series::default()),
            ("id", Series::default()),
            ("id prefix", Series::default()),
        ];
        for round in 0..LOOKUPS {
            if round % 10 == 0 {
                nothing.measure(command(&place.noop));
            }
            let wanted = mix(round) % records;
            let texts = [name(wanted), id(wanted), id(wanted)[..12].to_owned()];
            for ((_, series), text) in by.iter_mut().zip(&texts) {
                let reference = Reference::new(text).expect("a reference");
                let begun = Instant::now();
                let found = store.find(&reference).expect("store answers");
                series.push_time(begun.elapsed());
                assert!(matches!(found, Found::One(record) if record.id.as_str() == texts[1]));
            }
        }
        report.section(&format!("Look-up among {records} records"), NOTHING, &nothing);
        for (number, (what, series)) in by.iter().enumerate() {
            fewest.push(series.median());
            let growth = series.median() / fewest[number];
            let target =
                (records == 100_000).then(|| Target::at_most(GROWTH, growth, " of among 10"));
            report.row(&format!("by {what}"), series, target);
        }
    }
}

fn publish(store: &dyn Store, number: u32) {
    let id = ContainerId::new(&id(number)).expect("an id");
    let instance = Instance { boot: 1, netns: number.into(), pid: 2, started: 3 };
    let address = format!("10.{}.{}.{}/8", number >> 16, (number >> 8) & 0xff, number & 0xff);
    let record = Record {
        engine_files: None,
        by_engine: false,
        pod: None,
        admitted: Admitted::None,
        share: Share::None,
        host: None,
        isolation: None,
        is_pod_infra: false,
        revision: 0,
        phase: Phase::Ready,
        name: ContainerName::new(&name(number)).expect("a name"),
        hostname: Hostname::new(&id.short()).ok(),
        owner: OwnerTag::new(StateId::default(), &id, &instance),
        instance,
        network: Network::Own(vec![Address::parse(&address).expect("an address")]),
        former: Vec::new(),
        fingerprint: None,
        ports: PortSet::parse("3306").expect("a port"),
        environment: Vec::new(),
        links: Vec::new(),
        backend: BackendName::None,
        flows: Vec::new(),
        hosts: None,
        bundle: None,
        without_variables: Vec::new(),
        engine_name: None,
        former_names: Vec::new(),
        networks: Vec::new(),
        engine: None,
        place: None,
        id,
    };
    let done = store
        .commit(
            &store.lock(std::time::Duration::ZERO).expect("the host lock"),
            &Change::Put(&record),
            0,
        )
        .expect("record is written");
    assert!(matches!(done, Commit::Done(_)));
}

fn name(number: u32) -> String {
    format!("name-{number}")
}

/// 64 hexadecimal digits that look drawn at random and never repeat.
fn id(number: u32) -> String {
    let parts: Vec<_> = (0..8).map(|part| format!("{:08x}", mix(number ^ (part << 28)))).collect();
    parts.concat()
}

/// One to one, and without any pattern to see (the finaliser of `MurmurHash3`).
fn mix(number: u32) -> u32 {
    let number = (number ^ (number >> 16)).wrapping_mul(0x85eb_ca6b);
    let number = (number ^ (number >> 13)).wrapping_mul(0xc2b2_ae35);
    number ^ (number >> 16)
}
