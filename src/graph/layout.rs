//! Where things go in a drawing: containers in columns, recipients to the left of their sources, as
//! few crossings as a few sweeps can make. The usual method for layered graphs (Sugiyama), in its
//! simplest form.

use super::Graph;

/// Between what stands in one column.
const APART: f64 = 22.0;
/// Between the ends of links on one side of a container.
pub(crate) const PITCH: f64 = 24.0;
/// Of a link where it passes a column.
const LANE: f64 = 14.0;
/// More sweeps change little.
const SWEEPS: usize = 6;

/// A drawing without widths.
#[derive(Debug)]
pub(crate) struct Layout {
    /// How many columns there are.
    pub(crate) columns: usize,
    /// The column of each node, and the height of its middle; none for those without links.
    pub(crate) nodes: Vec<Option<(usize, f64)>>,
    /// The way of each edge.
    pub(crate) routes: Vec<Route>,
    /// From the top of the highest to the bottom of the lowest.
    pub(crate) height: f64,
}

/// The way of an edge, from left to right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// The column in which it begins.
    pub(crate) column: usize,
    /// How high it leaves each column but the last, and reaches each but the first.
    pub(crate) steps: Vec<(f64, f64)>,
    /// Whether the recipient is at its right end: links in a circle need one such.
    pub(crate) backward: bool,
}

/// A node, or the place where an edge passes a column.
#[derive(Debug, Default)]
struct Item {
    column: usize,
    height: f64,
    middle: f64,
    left: Vec<usize>,
    right: Vec<usize>,
}

/// Lays out nodes of these heights.
pub(crate) fn lay_out(graph: &Graph, heights: &[f64]) -> Layout {
    let order = order(graph);
    let place = |node: usize| order.get(node).copied().unwrap_or_default();
    let backward = |edge: &super::Edge| place(edge.recipient) > place(edge.source);
    let ends: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .map(|e| if backward(e) { (e.source, e.recipient) } else { (e.recipient, e.source) })
        .collect();
    let columns = columns(&order, &ends);
    let mut items: Vec<Item> = columns
        .iter()
        .zip(heights)
        .map(|(&column, &height)| Item { column, height, ..Item::default() })
        .collect();
    let chains: Vec<Vec<usize>> = ends.iter().map(|ends| chain(&mut items, *ends)).collect();
    let height = arrange(&mut items, graph.nodes.len());

    let nodes = items.iter().take(graph.nodes.len());
    let is_linked = |item: &Item| !(item.left.is_empty() && item.right.is_empty());
    let nodes = nodes.map(|item| is_linked(item).then_some((item.column, item.middle))).collect();
    let steps = steps(&items, &chains);
    let routes = ends.iter().zip(steps).zip(&graph.edges).map(|((ends, steps), edge)| Route {
        column: columns[ends.0],
        steps,
        backward: backward(edge),
    });
    let columns = columns.iter().max().map_or(0, |last| last + 1);
    Layout { columns, nodes, routes: routes.collect(), height }
}

/// The place of each node in a row in which recipients come before their sources, but where links
/// go in a circle: there, whoever has the most links and the fewest recipients is first.
fn order(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes.len();
    let (mut before, mut sources) = (vec![0_usize; count], vec![Vec::new(); count]);
    for edge in &graph.edges {
        before[edge.source] += 1;
        sources[edge.recipient].push(edge.source);
    }
    let mut places = vec![usize::MAX; count];
    let mut ready: Vec<usize> = (0..count).rev().filter(|node| before[*node] == 0).collect();
    for place in 0..count {
        let next = ready.pop().or_else(|| {
            let left = (0..count).filter(|node| places[*node] == usize::MAX);
            left.min_by_key(|node| (before[*node], usize::MAX - sources[*node].len()))
        });
        let Some(node) = next else { break };
        places[node] = place;
        for &source in &sources[node] {
            before[source] = before[source].saturating_sub(1);
            if before[source] == 0 && places[source] == usize::MAX && !ready.contains(&source) {
                ready.push(source);
            }
        }
    }
    places
}

/// The column of each node: behind all that lead to it, and who leads the way right before the
/// first that he leads to.
fn columns(order: &[usize], ends: &[(usize, usize)]) -> Vec<usize> {
    let mut columns = vec![0; order.len()];
    let mut sorted = ends.to_vec();
    sorted.sort_by_key(|(from, _)| order[*from]);
    for &(from, to) in &sorted {
        columns[to] = columns[to].max(columns[from] + 1);
    }
    for node in 0..columns.len() {
        if ends.iter().all(|(_, to)| *to != node) {
            let first = ends.iter().filter(|(from, _)| *from == node).map(|(_, to)| columns[*to]);
            columns[node] = first.min().map_or(0, |first| first - 1);
        }
    }
    columns
}

/// Strings an edge over the columns between its ends.
fn chain(items: &mut Vec<Item>, (from, to): (usize, usize)) -> Vec<usize> {
    let mut chain = vec![from];
    for column in items[from].column + 1..items[to].column {
        chain.push(items.len());
        items.push(Item { column, height: LANE, ..Item::default() });
    }
    chain.push(to);
    for pair in chain.windows(2) {
        items[pair[0]].right.push(pair[1]);
        items[pair[1]].left.push(pair[0]);
    }
    chain
}

/// Gives every item its height on the paper, and returns that of all.
fn arrange(items: &mut [Item], nodes: usize) -> f64 {
    let last = items.iter().map(|item| item.column).max().unwrap_or_default();
    let mut columns = vec![Vec::new(); last + 1];
    for (at, item) in items.iter().enumerate() {
        if at >= nodes || !(item.left.is_empty() && item.right.is_empty()) {
            columns[item.column].push(at);
        }
    }
    for column in &columns {
        settle(items, column, |_| &[]);
    }
    for sweep in 0..SWEEPS {
        if sweep % 2 == 0 {
            for column in &mut columns {
                sort(items, column, |item| &item.left);
                settle(items, column, |item| &item.left);
            }
        } else {
            for column in columns.iter_mut().rev() {
                sort(items, column, |item| &item.right);
                settle(items, column, |item| &item.right);
            }
        }
    }
    let placed = || columns.iter().flatten();
    let top = placed().map(|&at| items[at].middle - items[at].height / 2.0).reduce(f64::min);
    let bottom = placed().map(|&at| items[at].middle + items[at].height / 2.0).reduce(f64::max);
    let (Some(top), Some(bottom)) = (top, bottom) else { return 0.0 };
    for item in items.iter_mut() {
        item.middle -= top;
    }
    bottom - top
}

/// Where an item would like to be: beside the middle of its neighbours.
fn wish(items: &[Item], at: usize, neighbours: impl Fn(&Item) -> &[usize]) -> f64 {
    let neighbours = neighbours(&items[at]);
    if neighbours.is_empty() {
        return items[at].middle;
    }
    mean(neighbours.iter().map(|&neighbour| items[neighbour].middle))
}

fn sort(items: &[Item], column: &mut [usize], neighbours: impl Fn(&Item) -> &[usize]) {
    column.sort_by(|a, b| wish(items, *a, &neighbours).total_cmp(&wish(items, *b, &neighbours)));
}

/// Moves the items of a column as near to their wishes as their order and sizes let them.
fn settle(items: &mut [Item], column: &[usize], neighbours: impl Fn(&Item) -> &[usize]) {
    let wishes: Vec<f64> = column.iter().map(|&at| wish(items, at, &neighbours)).collect();
    let mut free = f64::MIN;
    for (&at, wish) in column.iter().zip(&wishes) {
        let item = &mut items[at];
        item.middle = wish.max(free + item.height / 2.0);
        free = item.middle + item.height / 2.0 + APART;
    }
    let pushed = mean(column.iter().zip(&wishes).map(|(&at, wish)| items[at].middle - wish));
    for &at in column {
        items[at].middle -= pushed;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Where each edge leaves and reaches each column: the ends on one side of an item are spread, in
/// the order of where they lead to.
fn steps(items: &[Item], chains: &[Vec<usize>]) -> Vec<Vec<(f64, f64)>> {
    let mut steps: Vec<Vec<(f64, f64)>> =
        chains.iter().map(|chain| vec![(0.0, 0.0); chain.len() - 1]).collect();
    let mut sides = vec![(Vec::new(), Vec::new()); items.len()];
    for (edge, chain) in chains.iter().enumerate() {
        for (step, pair) in chain.windows(2).enumerate() {
            sides[pair[0]].1.push((items[pair[1]].middle, edge, step));
            sides[pair[1]].0.push((items[pair[0]].middle, edge, step));
        }
    }
    for (item, (left, right)) in items.iter().zip(sides) {
        for (side, is_left) in [(left, true), (right, false)] {
            let mut side = side;
            side.sort_by(|a, b| a.0.total_cmp(&b.0));
            let middle = mean((0..side.len()).scan(-PITCH, |y, _| {
                *y += PITCH;
                Some(*y)
            }));
            let mut y = item.middle - middle;
            for (_, edge, step) in side {
                let (leaves, reaches) = &mut steps[edge][step];
                *(if is_left { reaches } else { leaves }) = y;
                y += PITCH;
            }
        }
    }
    steps
}
