//! Three hosts in memory, and random events on them: which containers reach each other. Records come late, in another
//! order or never, hosts hear nothing for longer than patience, and addresses are used again.

mod events;

use crate::cluster::mirror::Mirror;
use crate::config::Config;
use crate::lifecycle::fakes::{Scene, own};
use crate::lifecycle::others::Others;
use crate::lifecycle::privileges::AfterHook;
use crate::model::{
    Address, BridgeName, Crossing, Flow, HostName, Missing, Network, OwnerTag, Record, Share,
    StateId,
};
use crate::recovery::links::{follow_all, settle_guests, unsettled};
use crate::recovery::offers::publish;
use crate::recovery::peers::{Seen, refresh};
use events::{Event, NAMES, PATIENCE, event};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

const HOSTS: [&str; 3] = ["a", "b", "c"];

/// A link: the source's name, and its host.
type Link = (&'static str, usize);
/// Two containers, each with its host: the first one reaches the second.
type Pair = ((usize, &'static str), (usize, &'static str));

/// A running container.
#[derive(Debug)]
struct Running {
    ip: IpAddr,
    share: Share,
    links: BTreeSet<Link>,
}

struct One {
    scene: Scene,
    spool: PathBuf,
    seen: Seen,
    running: BTreeMap<&'static str, Running>,
    /// Containers whose process has ended, and whose end no hook or daemon has seen.
    dead: BTreeMap<&'static str, IpAddr>,
    /// Whether links were planned for news that are believed.
    is_open: Option<bool>,
    /// Whether its news became too old since then.
    had_gap: bool,
}

struct Site {
    hosts: Vec<One>,
    runs: u64,
}

impl One {
    fn new(name: &str) -> Self {
        let mut scene = Scene::new();
        let text = format!(
            "[cluster]\nname='{name}'\npatience='{PATIENCE}s'\nnetworks={{a=['10.10.1.0/24'],\
             b=['10.10.2.0/24'],c=['10.10.2.0/24']}}"
        );
        scene.host.config.cluster = Config::parse("c", &text).unwrap().cluster;
        let spool = scene.directory().join("spool");
        fs::create_dir(&spool).unwrap();
        let (seen, running, dead) = (Seen::default(), BTreeMap::new(), BTreeMap::new());
        Self { scene, spool, seen, running, dead, is_open: None, had_gap: false }
    }

    fn start(&mut self, name: &'static str, running: Running, run: u64) {
        let links: Vec<String> = running
            .links
            .iter()
            .map(|(source, host)| format!("{source}@{0}:{source}{0}", HOSTS[*host]))
            .collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        let address = Address::parse(&format!("{}/24", running.ip)).unwrap();
        let network = Network::Own(vec![address.on(BridgeName::new("br0").ok())]);
        let share = running.share.clone();
        let mut record = Record { network, share, ..own(name, "80", &[]) }.linked(&links);
        record.instance.netns = run;
        record.owner = OwnerTag::new(StateId::default(), &record.id, &record.instance);
        self.scene.start_with(&record, Missing::Defer, AfterHook::Continue).unwrap();
        self.dead.retain(|dead, ip| *dead != name && *ip != running.ip);
        self.running.insert(name, running);
    }

    fn end(&mut self, name: &'static str, has_hook: bool) {
        if let Some(running) = self.running.remove(name) {
            self.scene.end_process(name);
            self.dead.insert(name, running.ip);
        }
        if has_hook && self.dead.remove(name).is_some() {
            self.scene.stop(name).unwrap();
        }
    }

    fn hear(&mut self, age: u64) {
        self.had_gap |= age >= PATIENCE;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let now = crate::sys::clock::since_boot().as_millis() - u128::from(age) * 1000;
        let view = format!(r#"{{"v":1,"boot":"{}","fresh_ms":{now}}}"#, boot.trim());
        Mirror::open(self.scene.host.directory()).unwrap().put_view(view.as_bytes()).unwrap();
    }

    fn look(&mut self) {
        let cluster = self.scene.host.config.cluster.as_ref().unwrap();
        let found = refresh(&self.scene.host, cluster, &self.spool, &mut self.seen, &mut || Ok(()))
            .unwrap();
        let found = found.unwrap();
        found.failures.into_result().unwrap();
        assert_eq!(found.aside.named, []);
    }

    fn age(&mut self) {
        let is_fresh = !Others::of(&self.scene.host).unwrap().unwrap().is_stale();
        if self.is_open != Some(is_fresh) || self.had_gap {
            follow_all(&self.scene.host, &mut || Ok(())).unwrap();
            (self.is_open, self.had_gap) = (Some(is_fresh), !is_fresh);
        }
    }

    fn tell(&self) {
        settle_guests(&self.scene.host, &mut || Ok(())).unwrap();
        publish(&self.scene.host, self.scene.host.config.cluster.as_ref().unwrap()).unwrap();
    }

    /// The two addresses of each flow between hosts that this one permits at its own end of it.
    fn half(&self, crossing: Crossing) -> BTreeSet<(IpAddr, IpAddr)> {
        let flows = self.scene.permitted();
        let is_half = |flow: &&Flow| flow.bridge.is_some_and(|on| on.crossing == crossing);
        flows.iter().filter(is_half).map(|flow| (flow.from, flow.to)).collect()
    }

    /// The names of this host's records for others.
    fn offers(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.scene.host.config.state_dir.join("offers"));
        let entries = entries.into_iter().flatten().map(|entry| entry.unwrap());
        let named = entries.map(|it| (it.file_name().into_string().unwrap(), it.path()));
        named.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
    }
}

impl Site {
    fn new() -> Self {
        Self { hosts: HOSTS.map(One::new).into(), runs: 1000 }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Start { host, name, place, bits } => self.start(host, NAMES[name], place, bits),
            Event::End { host, name } => self.hosts[host].end(NAMES[name], true),
            Event::Die { host, name } => self.hosts[host].end(NAMES[name], false),
            Event::Carry { from, to, bits } => self.carry(from, to, bits),
            Event::Hear { host, age } => self.hosts[host].hear(age),
            Event::Look { host } => self.hosts[host].look(),
            Event::Age { host } => self.hosts[host].age(),
            Event::Tell { host } => self.hosts[host].tell(),
            Event::Meet => self.meets(),
        }
    }

    /// Starts a container, unless it runs or the address is in use.
    fn start(&mut self, host: usize, name: &'static str, place: u8, bits: u8) {
        let network = if host == 0 { 1 } else { 2 };
        let ip = IpAddr::from([10, 10, network, 2 + place]);
        let mut all = self.hosts.iter().flat_map(|one| one.running.values());
        if all.any(|running| running.ip == ip) || self.hosts[host].running.contains_key(name) {
            return;
        }
        let has = |bit: usize| bits >> bit & 1 == 1;
        let admitted = (0..3).filter(|host| has(*host)).map(|it| HostName::new(HOSTS[it]).unwrap());
        let sources = (0..3).flat_map(|host| [("db0", host), ("db1", host)]);
        let (share, links) = if name.starts_with("db") {
            let share = Share::only(admitted.collect());
            (share.filter(|_| bits & 7 != 0).unwrap_or(Share::None), BTreeSet::new())
        } else {
            let linked = sources.enumerate().filter(|(bit, (_, to))| *to != host && has(*bit));
            (Share::None, linked.map(|(_, link)| link).collect())
        };
        self.runs += 1;
        let run = self.runs;
        self.hosts[host].start(name, Running { ip, share, links }, run);
    }

    /// Copies the records whose bits are set, and removes what has gone.
    fn carry(&self, from: usize, to: usize, bits: u8) {
        if from == to {
            return;
        }
        let offers = self.hosts[from].offers();
        let spool = &self.hosts[to].spool;
        for name in (0..NAMES.len()).filter(|bit| bits >> bit & 1 == 1).map(|bit| NAMES[bit]) {
            for end in ["offer", "want"] {
                let file = spool.join(format!("{}~{name}.{end}", HOSTS[from]));
                match offers.get(&format!("{name}.{end}")) {
                    Some(bytes) => {
                        fs::write(spool.join(".new"), bytes).unwrap();
                        fs::rename(spool.join(".new"), file).unwrap();
                    }
                    None => drop(fs::remove_file(file)),
                }
            }
        }
    }

    /// All pairs of running containers of different hosts.
    fn pairs(&self) -> impl Iterator<Item = (Pair, &Running, &Running)> {
        let all = || {
            let hosts = self.hosts.iter().enumerate();
            hosts
                .flat_map(|(host, one)| one.running.iter().map(move |(name, it)| (host, *name, it)))
        };
        let between = move |(x, from, web)| {
            let others = all().filter(move |(y, ..)| *y != x);
            others.map(move |(y, to, db)| (((x, from), (y, to)), web, db))
        };
        all().flat_map(between)
    }

    /// The pairs whose packets both hosts permit now.
    fn passing(&self) -> BTreeSet<Pair> {
        let halves = |crossing| self.hosts.iter().map(|it| it.half(crossing)).collect::<Vec<_>>();
        let (out, into) = (halves(Crossing::Leaves), halves(Crossing::Enters));
        let passes = |(((x, _), (y, _)), web, db): &(Pair, &Running, &Running)| {
            let flow = (web.ip, db.ip);
            out[*x].contains(&flow) && into[*y].contains(&flow)
        };
        self.pairs().filter(passes).map(|(pair, ..)| pair).collect()
    }

    /// The pairs that have a link and consent.
    fn linked(&self) -> BTreeSet<Pair> {
        let is_linked = |(((x, _), (y, to)), web, db): &(Pair, &Running, &Running)| {
            let host = HostName::new(HOSTS[*x]).unwrap();
            web.links.contains(&(*to, *y)) && db.share.admits(&host)
        };
        self.pairs().filter(is_linked).map(|(pair, ..)| pair).collect()
    }

    /// What holds after each event.
    fn must_be_lawful(&self, event: Event) {
        let (passing, linked) = (self.passing(), self.linked());
        let wrong: Vec<_> = passing.difference(&linked).collect();
        assert!(wrong.is_empty(), "{event:?}: {wrong:?} reach each other");
        for (name, one) in HOSTS.iter().zip(&self.hosts) {
            // The own end of each half is of a container whose end was not reported yet.
            let mut own: BTreeSet<IpAddr> = one.running.values().map(|it| it.ip).collect();
            own.extend(one.dead.values());
            let sources = one.half(Crossing::Enters).into_iter().map(|(_, to)| to);
            let recipients = one.half(Crossing::Leaves).into_iter().map(|(from, _)| from);
            let left: Vec<_> = sources.chain(recipients).filter(|ip| !own.contains(ip)).collect();
            assert!(left.is_empty(), "{event:?}: {name} has rules of {left:?}");
        }
    }

    /// All ends are reported, everything is carried, and nothing else happens.
    fn rests(&mut self) {
        for one in &mut self.hosts {
            for name in NAMES {
                if one.dead.contains_key(name) {
                    one.end(name, true);
                }
            }
        }
        self.meets();
    }

    fn meets(&mut self) {
        for _ in 0..3 {
            self.hosts.iter().for_each(One::tell);
            for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))) {
                self.carry(from, to, u8::MAX);
            }
            for one in &mut self.hosts {
                one.look();
                one.hear(0);
                one.age();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn no_pair_passes_unless_both_live_and_consent(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut site = Site::new();
        for event in events {
            site.happens(event);
            site.must_be_lawful(event);
        }
        site.rests();
        prop_assert_eq!(site.passing(), site.linked(), "after quiet, exactly the right ones");
        for one in &mut site.hosts {
            prop_assert_eq!(unsettled(&one.scene.host).unwrap(), []);
            // Nothing is believed for longer than patience.
            one.hear(PATIENCE);
            one.age();
            let crosses = |crossing| one.half(crossing).len();
            prop_assert_eq!((crosses(Crossing::Leaves), crosses(Crossing::Enters)), (0, 0));
        }
    }
}
