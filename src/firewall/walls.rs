//! What a backend isolates: whole bridges, and single containers by the marks of the bridge table.

use crate::model::BridgeName;

/// What one kind of rules isolates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walls {
    /// The bridges of config.toml: their containers reach each other by links only.
    pub(crate) bridges: Vec<BridgeName>,
    /// The bridges of containers that ask for isolation by their annotation. Their packets are judged.
    pub(crate) gates: Vec<BridgeName>,
}

/// What a gate begins with in a text.
const GATE: &str = " ";

impl Walls {
    /// Isolates these bridges and no container.
    #[cfg(test)]
    pub(crate) fn of(bridges: &[BridgeName]) -> Self {
        Self { bridges: bridges.to_vec(), gates: Vec::new() }
    }

    /// Whether nothing is isolated.
    pub(crate) fn is_empty(&self) -> bool {
        self.bridges.is_empty() && self.gates.is_empty()
    }

    /// Returns the walls with more gates, each once.
    pub(crate) fn with_gates(mut self, gates: &[BridgeName]) -> Self {
        self.gates.extend(gates);
        self.gates.sort();
        self.gates.dedup();
        self
    }

    /// Returns the walls with other bridges.
    pub(crate) fn with_bridges(self, bridges: &[BridgeName]) -> Self {
        Self { bridges: bridges.to_vec(), ..self }
    }

    /// Parses the text of [`text`](Self::text). An earlier version knows no gates and skips their lines.
    pub(crate) fn parse(text: &str) -> Self {
        let mut walls = Self::default();
        for line in text.lines() {
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
        bridges.chain(gates).collect::<Vec<_>>().join("\n")
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
        assert_eq!(walls.clone().with_bridges(&[]).gates, walls.gates);
    }
}
