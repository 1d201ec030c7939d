//! Other containers of the machine. The steps of their lives are compared as well.

use crate::case::{Case, Company};
use crate::life::Life;
use crate::machine::Machine;
use crate::step::Step;
use crate::support::Container;
use crate::way::Way;
use serde_json::Value;
use std::fs;

pub(crate) struct Neighbours<'m> {
    containers: Vec<(Case, Container<'m>)>,
    steps: Vec<Step>,
    by: (&'m Machine, Way),
}

impl<'m> Neighbours<'m> {
    pub(crate) fn start(machine: &'m Machine, way: Way, company: Company) -> Self {
        let mut all = Self { containers: Vec::new(), steps: Vec::new(), by: (machine, way) };
        match company {
            Company::Alone => {}
            Company::Linked => {
                all.run("db", 11, |config| annotate(config, "ports", "3306"));
                all.run("web", 12, |config| annotate(config, "links", "db"));
            }
            Company::Twin => all.run("case", 13, |config| annotate(config, "name", "twin")),
        }
        all
    }

    fn run(&mut self, id: &str, number: u8, edit: impl FnOnce(&mut Value)) {
        let (machine, way) = self.by;
        let mut case = Case::plain();
        let twin = id == case.id;
        let bundle = if twin { "twin" } else { id };
        let container = machine.host.container(bundle).number(number).edit(edit).build();
        let path = container.bundle().join("config.json");
        let text = fs::read(&path).expect("a bundle");
        let mut config = serde_json::from_slice(&text).expect("JSON");
        way.add_hooks(machine, &mut config);
        fs::write(path, config.to_string()).expect("written");

        case.id = id.into();
        case.root = if twin { "root2" } else { "root" };
        case.bundle = container.bundle().display().to_string();
        let ran = case.call(self.by, &case.creation(&["run", "--detach"]), "");
        self.steps.push(Step::of(&format!("run of {bundle}, a neighbour"), &ran));
        self.containers.push((case, container));
    }

    pub(crate) fn end(self, life: &mut Life) {
        life.steps.extend(self.steps);
        for (case, container) in self.containers.iter().rev() {
            let words = ["delete", "--force", &case.id];
            let ran = case.call(self.by, &words, "");
            life.steps.push(Step::of(&format!("end of {}, a neighbour", case.id), &ran));
            let _ = case.call((self.by.0, Way::Direct), &words, "");
            self.by.0.remove_control_groups(container);
        }
    }
}

fn annotate(config: &mut Value, key: &str, value: &str) {
    config["annotations"][format!("org.oci-link.{key}")] = value.into();
}
