//! Computes the positions in a drawing. Containers stand in columns, with recipients to the left of
//! their sources. The method is a simple form of Sugiyama's for layered graphs: a few sweeps reduce
//! the number of crossings.

use super::Graph;

/// Vertical distance between neighboring items of a column.
const APART: f64 = 22.0;
/// Vertical distance between the ends of links on one side of a container.
pub(crate) const PITCH: f64 = 24.0;
/// Height of a side of a container at which no link ends: its rounded corners.
const EDGE: f64 = 12.0;
/// Height that a link takes up where it passes through a column.
const LANE: f64 = 14.0;
/// Number of sweeps. More of them change little.
const SWEEPS: usize = 6;

/// Columns and vertical positions of a drawing. Horizontal positions are computed by the renderer.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Number of columns.
    pub(crate) columns: usize,
    /// Column and vertical center of each node; `None` for a node without links.
    pub(crate) nodes: Vec<Option<(usize, f64)>>,
    /// The route of each edge.
    pub(crate) routes: Vec<Route>,
    /// Height of each node: the wanted one, or what its links on one side need.
    pub(crate) heights: Vec<f64>,
    /// Distance from the top of the highest item to the bottom of the lowest.
    pub(crate) height: f64,
}

/// The route of an edge, from left to right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Route {
    /// The column in which the route begins.
    pub(crate) column: usize,
    /// For each gap between two columns: the vertical position at its left side and at its right
    /// side.
    pub(crate) steps: Vec<(f64, f64)>,
    /// Whether the recipient is at the right end. A cycle of links has at least one such edge.
    pub(crate) backward: bool,
}

/// A node, or the point where an edge passes through a column.
#[derive(Debug, Default)]
struct Item {
    column: usize,
    height: f64,
    middle: f64,
    left: Vec<usize>,
    right: Vec<usize>,
}

/// Computes the layout of nodes that are at least as high as in `heights`.
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
    for item in items.iter_mut().take(graph.nodes.len()) {
        let ends = item.left.len().max(item.right.len());
        item.height = item.height.max(count(ends) * PITCH + EDGE);
    }
    let height = arrange(&mut items, graph.nodes.len());

    let heights = items.iter().take(graph.nodes.len()).map(|item| item.height).collect();
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
    Layout { columns, nodes, routes: routes.collect(), heights, height }
}

/// The rank of each node. Recipients come before their sources, except in cycles. A cycle is broken
/// at the node with the fewest recipients and, among those, the most links.
fn order(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes.len();
    let (mut before, mut sources) = (vec![0_usize; count], vec![Vec::new(); count]);
    for edge in &graph.edges {
        before[edge.source] += 1;
        sources[edge.recipient].push(edge.source);
    }
    let mut places = vec![usize::MAX; count];
    let mut is_queued: Vec<bool> = before.iter().map(|count| *count == 0).collect();
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
            let is_free = before[source] == 0 && places[source] == usize::MAX;
            if is_free && !is_queued[source] {
                is_queued[source] = true;
                ready.push(source);
            }
        }
    }
    places
}

/// The column of each node, to the right of all its recipients. A node without recipients is placed
/// directly left of its leftmost source. Edges that break a cycle count in reverse.
fn columns(order: &[usize], ends: &[(usize, usize)]) -> Vec<usize> {
    let mut columns = vec![0; order.len()];
    let mut sorted = ends.to_vec();
    sorted.sort_by_key(|(from, _)| order[*from]);
    for &(from, to) in &sorted {
        columns[to] = columns[to].max(columns[from] + 1);
    }
    let (mut has_recipients, mut first) = (vec![false; order.len()], vec![None; order.len()]);
    for &(from, to) in ends {
        has_recipients[to] = true;
        let column = columns[to];
        first[from] = Some(first[from].map_or(column, |first: usize| first.min(column)));
    }
    for (node, column) in columns.iter_mut().enumerate().filter(|(node, _)| !has_recipients[*node])
    {
        *column = first[node].map_or(0, |first| first - 1);
    }
    columns
}

/// Adds an item for each column that an edge passes through, and returns the chain of items.
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

/// Sets the vertical center of each item. Returns the total height.
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

/// The preferred vertical center of an item: the mean of its neighbors' centers.
fn wish(items: &[Item], at: usize, neighbours: impl Fn(&Item) -> &[usize]) -> f64 {
    let neighbours = neighbours(&items[at]);
    if neighbours.is_empty() {
        return items[at].middle;
    }
    mean(neighbours.iter().map(|&neighbour| items[neighbour].middle))
}

/// Sorts the items of a column by their preferred positions.
fn sort(items: &[Item], column: &mut [usize], neighbours: impl Fn(&Item) -> &[usize]) {
    column.sort_by(|a, b| wish(items, *a, &neighbours).total_cmp(&wish(items, *b, &neighbours)));
}

/// Moves the items of a column as close to their preferred positions as order and size allow.
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

/// The number as a coordinate.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::from(u32::MAX), f64::from)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The vertical positions at both sides of each gap that an edge crosses. Link ends on one side of
/// an item are spread out, in the order of the positions they lead to.
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
