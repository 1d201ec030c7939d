//! What a backend isolates: whole bridges, and single containers by the marks of the bridge table.

use super::outside::Outside;
use crate::model::{BridgeName, Family};

/// What one kind of rules isolates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walls {
    /// The bridges of config.toml: their containers reach each other by links only.
    pub(crate) bridges: Vec<BridgeName>,
    /// The bridges of containers that ask for isolation by their annotation. Their packets are judged.
    pub(crate) gates: Vec<BridgeName>,
    /// Which of the bridges are isolated from other hosts too.
    pub(crate) outside: Outside,
    /// Whether there are rules for flows between hosts. They isolate nothing.
    pub(crate) crosses: bool,
}

/// What a gate begins with in a text.
const GATE: &str = " ";
/// What begins a line of [`Outside`] in a text.
const OUTSIDE: &str = "   ";
/// The line of a text that stands for rules for flows between hosts.
const CROSSES: &str = "  between hosts";

impl Walls {
    /// Isolates these bridges and no container.
    #[cfg(test)]
    pub(crate) fn of(bridges: &[BridgeName]) -> Self {
        Self { bridges: bridges.to_vec(), ..Self::default() }
    }

    /// Whether nothing is isolated.
    pub(crate) fn is_empty(&self) -> bool {
        self.bridges.is_empty() && self.gates.is_empty() && self.outside.is_empty()
    }

    /// Returns what stays of the walls if another backend isolates from now on.
    pub(crate) fn without_isolation(&self) -> Self {
        Self { crosses: self.crosses, ..Self::default() }
    }

    /// Returns the walls with more gates, each once.
    pub(crate) fn with_gates(mut self, gates: &[BridgeName]) -> Self {
        self.gates.extend(gates);
        self.gates.sort();
        self.gates.dedup();
        self
    }

    /// Whether exactly these bridges are isolated, and exactly so from other hosts.
    pub(crate) fn isolate(&self, bridges: &[BridgeName], outside: &Outside) -> bool {
        self.bridges == bridges && self.outside == *outside
    }

    /// Returns the walls with other bridges.
    pub(crate) fn with_bridges(self, bridges: &[BridgeName], outside: &Outside) -> Self {
        Self { bridges: bridges.to_vec(), outside: outside.clone(), ..self }
    }

    /// What concerns packets of one family.
    pub(crate) fn of_family(&self, family: Family) -> Self {
        Self { outside: self.outside.of(family), ..self.clone() }
    }

    /// Parses the text of [`text`](Self::text). An earlier version knows no gates and skips their lines.
    pub(crate) fn parse(text: &str) -> Self {
        let mut walls = Self::default();
        for line in text.lines() {
            if line == CROSSES {
                walls.crosses = true;
                continue;
            }
            if let Some(line) = line.strip_prefix(OUTSIDE) {
                walls.outside.add(line);
                continue;
            }
            let (list, name) = match line.strip_prefix(GATE) {
                Some(name) => (&mut walls.gates, name),
                None => (&mut walls.bridges, line),
            };
            list.extend(BridgeName::new(name));
        }
        walls
    }

    /// Returns one line for each bridge.
    pub(crate) fn text(&self) -> String {
        let bridges = self.bridges.iter().map(ToString::to_string);
        let gates = self.gates.iter().map(|gate| format!("{GATE}{gate}"));
        let crosses = self.crosses.then(|| CROSSES.to_owned());
        let outside = self.outside.lines().map(|line| format!("{OUTSIDE}{line}"));
        bridges.chain(gates).chain(outside).chain(crosses).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_are_read_as_they_are_written() {
        let names = |all: &[&str]| -> Vec<BridgeName> {
            all.iter().map(|name| BridgeName::new(name).unwrap()).collect()
        };
        let walls = Walls::of(&names(&["br1", "br0"])).with_gates(&names(&["br9", "br0", "br9"]));
        assert_eq!(walls.gates, names(&["br0", "br9"]));
        assert_eq!(Walls::parse(&walls.text()), walls);
        assert_eq!(Walls::parse("br1\nbr0"), Walls::of(&names(&["br1", "br0"])));
        assert!(Walls::parse("").is_empty() && !walls.is_empty());
        let mut outside = Outside::default();
        outside.add("br0 10.10.1.0/24");
        let other = walls.clone().with_bridges(&[], &outside);
        assert_eq!(other.gates, walls.gates);
        assert_eq!(Walls::parse(&other.text()), other);
        assert!(other.isolate(&[], &outside) && !other.isolate(&[], &Outside::default()));
        let crosses = Walls { crosses: true, ..walls.clone() };
        assert_eq!(Walls::parse(&crosses.text()), crosses);
        let left = crosses.without_isolation();
        assert!(left.crosses && left.is_empty() && !walls.without_isolation().crosses);
    }
}
