//! The engines whose networks and commands are known.

/// The engine that created a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Docker.
    Docker,
    /// podman.
    Podman,
    /// nerdctl.
    Nerdctl,
}

impl Engine {
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Nerdctl];

    /// Returns the engine with this name. Engines whose networks are not known are `None`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.as_str() == name)
    }

    /// Returns the name, which is also that of the engine's program.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for engine in Engine::ALL {
            assert_eq!(Engine::parse(engine.as_str()), Some(engine));
        }
        assert_eq!(Engine::parse("containerd"), None);
    }
}
