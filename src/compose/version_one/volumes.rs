//! Named volumes of the first Compose format. Later formats declare them at the top level, with their driver.

use crate::compose::write::quoted;
use crate::compose::yaml::Value;
use std::collections::BTreeMap;

/// The named volumes of a file, each with its driver.
#[derive(Debug, Default)]
pub(super) struct Volumes(BTreeMap<String, Option<String>>);

impl Volumes {
    /// Adds the named volumes of a service. Fails with the name of one that another service has with another driver.
    pub(super) fn add(&mut self, list: Option<&Value>, driver: Option<&str>) -> Result<(), String> {
        let Some(Value::List(items)) = list else { return Ok(()) };
        for name in items.iter().filter_map(|item| volume_name(item.text()?)) {
            let driver = driver.map(str::to_owned);
            let known = self.0.entry(name.to_owned()).or_insert_with(|| driver.clone());
            if *known != driver {
                return Err(name.to_owned());
            }
        }
        Ok(())
    }

    /// The top-level entries, each on a line of its own without its end. Empty without volumes.
    pub(super) fn lines(&self) -> Vec<String> {
        // The first format puts no name of a project before the name of a volume.
        let entry = |(name, driver): (&String, &Option<String>)| {
            let name = quoted(name);
            let driver = driver.as_ref().map(|driver| format!(", \"driver\": {}", quoted(driver)));
            format!("{name}: {{\"name\": {name}{}}}", driver.unwrap_or_default())
        };
        self.0.iter().map(entry).collect()
    }
}

/// The name of a volume in `NAME:PATH`. Paths of the host and variables are no names.
fn volume_name(item: &str) -> Option<&str> {
    let (name, _) = item.split_once(':')?;
    let mut letters = name.chars();
    let first = letters.next()?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (first.is_ascii_alphanumeric() && letters.all(fine)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::volume_name;

    #[test]
    fn names_and_paths() {
        assert_eq!(volume_name("data:/var/lib:ro"), Some("data"));
        for path in ["/srv:/srv", "./x:/x", "~/x:/x", "/x", "$X:/x", "${X}:/x", "a/b:/x", ":/x"] {
            assert_eq!(volume_name(path), None, "{path}");
        }
    }
}
