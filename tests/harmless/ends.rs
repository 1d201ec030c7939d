//! The ends of containers that started before the environment broke.

use crate::case::{Case, Company};
use crate::environments::Environment;
use crate::life::Life;
use crate::machine::Machine;
use crate::neighbours::Neighbours;
use crate::step::Step;
use crate::way::Way;

/// A plain container, a recipient and its source start on a healthy machine. Then `environment` breaks,
/// and each of them is used and ended.
pub(crate) fn end_in(machine: &Machine, way: Way, environment: &Environment) -> Vec<Step> {
    let neighbours = Neighbours::start(machine, way, Company::Linked);
    let mut case = Case::plain();
    let container = case.build(machine, way, |_| {});
    let mut life = Life { machine, way, case, steps: Vec::new() };
    let _ = life.detached();

    machine.shell(environment.breaks, &[]);
    life.case.patience = environment.patience;
    for id in ["case", "web", "db"] {
        life.case.id = id.into();
        let before = life.steps.len();
        if life.while_it_runs().is_ok() {
            let _ = life.end();
        }
        life.clear();
        for step in &mut life.steps[before..] {
            step.what = format!("{id}: {}", step.what);
        }
    }
    if environment.undone_at_once {
        let rules = machine.links().join("\n");
        life.steps.push(Step::new("rules of ended containers", "", &rules, ""));
    }
    neighbours.end(&mut life);
    life.repair();
    life.steps.push(machine.left_behind(&container));
    life.steps
}
