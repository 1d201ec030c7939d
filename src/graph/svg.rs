//! Renders the graph as an SVG image. It contains no script and no font, loads nothing, and is
//! readable on light and dark backgrounds.

use super::layout::{Layout, Route, count, lay_out};
use super::{Edge, Graph, Node, NodeState, plain};
use std::fmt::Write;

const STYLE: &str = "\
.paper{fill:#fff}\
.box{fill:#f8fafc;stroke:#64748b;stroke-width:1.5}\
.link{fill:none;stroke:#2563eb;stroke-width:1.75}.tip{fill:#2563eb}\
.waits .link{stroke:#94a3b8;stroke-dasharray:5 4}.waits text{fill:#64748b}.faint{fill:#94a3b8}\
.label{paint-order:stroke;stroke:#fff;stroke-width:3px}\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#475569}\
.name{font-size:14px;font-weight:600;fill:#0f172a}\
.pending .box{stroke:#d97706}.pending .state{fill:#b45309}\
.dead .box{stroke:#dc2626;fill:#fef2f2}.dead .state{fill:#b91c1c}\
.waiting .box{fill:none;stroke:#94a3b8;stroke-dasharray:5 4}.waiting .name{fill:#64748b}\
@media(prefers-color-scheme:dark){\
.paper{fill:#0f172a}.label{stroke:#0f172a}.box{fill:#1e293b;stroke:#94a3b8}.name{fill:#f1f5f9}text{fill:#cbd5e1}\
.link{stroke:#60a5fa}.tip{fill:#60a5fa}.waits .link{stroke:#64748b}.waits text{fill:#94a3b8}\
.faint{fill:#64748b}.pending .box{stroke:#f59e0b}.pending .state{fill:#fbbf24}\
.dead .box{stroke:#f87171;fill:#3b1520}.dead .state{fill:#fca5a5}\
.waiting .box{stroke:#64748b}.waiting .name{fill:#94a3b8}}";

/// Width of the margin, in pixels as all lengths here.
const MARGIN: f64 = 24.0;
/// Width of the curve of a link between two columns.
const BEND: f64 = 72.0;
/// Height of a line of text in a box.
const LINE: f64 = 18.0;
/// Width of a character of a container name.
const NAME: f64 = 8.5;
/// Width of a character of other text.
const LETTER: f64 = 7.25;
/// The longest text in a box, in characters. Tooltips show the complete text.
const LETTERS: usize = 28;
/// The largest number of addresses in a box. Tooltips show all addresses.
const ADDRESSES: usize = 2;
/// Minimum width of the rows of containers without links.
const WIDE: f64 = 640.0;

/// Draws the graph as a file of its own.
pub(crate) fn svg(graph: &Graph) -> String {
    let Drawing { width, height, body } = draw(graph);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>Containers and their links</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"10\"/>\n{body}</svg>\n",
    )
}

/// The content of an image, without its styles.
pub(super) struct Drawing {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Arrowheads, one `g` of class `edge` for each edge of the graph, and one `g` of class `node` for each
    /// node, in their order.
    pub(super) body: String,
}

/// Draws the graph.
pub(super) fn draw(graph: &Graph) -> Drawing {
    let mut shapes: Vec<Shape> = graph.nodes.iter().map(Shape::of).collect();
    let heights: Vec<f64> = shapes.iter().map(|shape| shape.height).collect();
    let layout = lay_out(graph, &heights);
    for (shape, height) in shapes.iter_mut().zip(&layout.heights) {
        shape.height = *height;
    }
    let grid = Grid::of(graph, &layout, &shapes);
    let mut body = format!("<defs>{}{}</defs>\n", tip("tip", "tip"), tip("faint-tip", "faint"));
    for (edge, route) in graph.edges.iter().zip(&layout.routes) {
        draw_edge(&mut body, &grid, graph, edge, route);
    }
    let mut loose = Loose {
        x: MARGIN,
        y: grid.bottom(&layout),
        low: 0.0,
        right: 0.0,
        wide: grid.width.max(WIDE),
    };
    for (shape, place) in shapes.iter().zip(&layout.nodes) {
        let (x, y) = match place {
            Some((column, middle)) => {
                (grid.middle(*column) - shape.width / 2.0, MARGIN + middle - shape.height / 2.0)
            }
            None => loose.next(shape),
        };
        shape.draw(&mut body, x, y);
    }
    let width = grid.width.max(loose.right).max(2.0 * MARGIN + 160.0);
    let height = (MARGIN + layout.height).max(loose.low) + MARGIN;
    Drawing { width, height, body }
}

fn tip(id: &str, class: &str) -> String {
    format!(
        "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" \
         markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" orient=\"auto-start-reverse\">\
         <path class=\"{class}\" d=\"M0 0 10 5 0 10z\"/></marker>"
    )
}

/// The box of a container.
struct Shape {
    class: &'static str,
    title: String,
    name: String,
    lines: Vec<String>,
    state: Option<&'static str>,
    width: f64,
    height: f64,
}

impl Shape {
    /// The box of `node`, as high as its text needs.
    fn of(node: &Node) -> Self {
        let mut lines: Vec<String> =
            node.addresses.iter().take(ADDRESSES).map(|line| cut(line)).collect();
        if node.addresses.len() > ADDRESSES {
            lines.push(format!("and {} more", node.addresses.len() - ADDRESSES));
        }
        let name = cut(&node.name);
        let state = node.state.word();
        let letters = lines.iter().map(|line| length(line) * LETTER);
        let width = letters.chain([length(&name) * NAME]).fold(96.0, f64::max) + 28.0;
        let rows = count(1 + lines.len() + usize::from(state.is_some()));
        let height = rows * LINE + 18.0;
        let title = [&node.name].into_iter().chain(&node.addresses).cloned().collect::<Vec<_>>();
        let class = match node.state {
            NodeState::Ready => "ready",
            NodeState::Pending => "pending",
            NodeState::Dead => "dead",
            NodeState::Waiting => "waiting",
        };
        Self { class, title: title.join(" "), name, lines, state, width, height }
    }

    fn draw(&self, out: &mut String, x: f64, y: f64) {
        let Self { class, width, height, .. } = self;
        let _ = writeln!(
            out,
            "<g class=\"node {class}\"><title>{}</title><rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\"/>",
            escaped(&self.title)
        );
        let named = [("name", self.name.as_str())].into_iter();
        let lines = named.chain(self.lines.iter().map(|line| ("", line.as_str())));
        let lines: Vec<_> = lines.chain(self.state.map(|word| ("state", word))).collect();
        let middle = x + width / 2.0;
        let mut base = y + height / 2.0 - count(lines.len()) * LINE / 2.0 + 13.0;
        for (class, line) in lines {
            text(out, (middle, base), &format!("class=\"{class}\" text-anchor=\"middle\""), line);
            base += LINE;
        }
        out.push_str("</g>\n");
    }
}

/// Widths of the columns and of the gaps between them. A gap consists of labels of links that begin
/// at its left, the curves, and labels of links that begin at its right.
struct Grid {
    columns: Vec<f64>,
    /// Width of the box of each node.
    boxes: Vec<f64>,
    gaps: Vec<(f64, f64)>,
    width: f64,
}

impl Grid {
    fn of(graph: &Graph, layout: &Layout, shapes: &[Shape]) -> Self {
        let mut columns = vec![0.0_f64; layout.columns];
        for (shape, place) in shapes.iter().zip(&layout.nodes) {
            if let Some((column, _)) = place {
                columns[*column] = columns[*column].max(shape.width);
            }
        }
        let mut gaps = vec![(12.0_f64, 12.0_f64); layout.columns.saturating_sub(1)];
        for (edge, route) in graph.edges.iter().zip(&layout.routes) {
            let needed = length(&cut(&edge.label())) * LETTER + 20.0;
            if route.backward {
                let gap = &mut gaps[route.column + route.steps.len() - 1].1;
                *gap = gap.max(needed);
            } else {
                let gap = &mut gaps[route.column].0;
                *gap = gap.max(needed);
            }
        }
        let between: f64 = gaps.iter().map(|(left, right)| left + BEND + right).sum();
        let width = 2.0 * MARGIN + columns.iter().sum::<f64>() + between;
        let boxes = shapes.iter().map(|shape| shape.width).collect();
        Self { columns, boxes, gaps, width }
    }

    /// The left edge of a column.
    fn left(&self, column: usize) -> f64 {
        let gaps = self.gaps.iter().take(column).map(|(left, right)| left + BEND + right);
        MARGIN + self.columns.iter().take(column).sum::<f64>() + gaps.sum::<f64>()
    }

    fn right(&self, column: usize) -> f64 {
        self.left(column) + self.columns[column]
    }

    /// Distance between the sides of a column and those of the box of `node` in it.
    fn inset(&self, column: usize, node: usize) -> f64 {
        self.boxes.get(node).map_or(0.0, |width| (self.columns[column] - width) / 2.0)
    }

    fn middle(&self, column: usize) -> f64 {
        f64::midpoint(self.left(column), self.right(column))
    }

    /// The top of the area below all containers with links.
    fn bottom(&self, layout: &Layout) -> f64 {
        if self.columns.iter().any(|width| *width > 0.0) {
            2.0 * MARGIN + layout.height
        } else {
            MARGIN
        }
    }
}

/// Places containers without links in rows below the others.
struct Loose {
    x: f64,
    y: f64,
    low: f64,
    right: f64,
    wide: f64,
}

impl Loose {
    fn next(&mut self, shape: &Shape) -> (f64, f64) {
        if self.x > MARGIN && self.x + shape.width + MARGIN > self.wide {
            (self.x, self.y) = (MARGIN, self.low + MARGIN);
        }
        let place = (self.x, self.y);
        self.x += shape.width + MARGIN;
        self.right = self.right.max(self.x);
        self.low = self.low.max(self.y + shape.height);
        place
    }
}

fn draw_edge(out: &mut String, grid: &Grid, graph: &Graph, edge: &Edge, route: &Route) {
    let (class, tip) = if edge.connected { ("edge", "tip") } else { ("edge waits", "faint-tip") };
    let (first, last) = (route.column, route.column + route.steps.len());
    let mut ends = (edge.recipient, edge.source);
    if route.backward {
        ends = (ends.1, ends.0);
    }
    let begin = grid.right(first) - grid.inset(first, ends.0);
    let end = grid.left(last) + grid.inset(last, ends.1);
    let mut path = String::new();
    for (step, (leaves, reaches)) in route.steps.iter().enumerate() {
        let column = first + step;
        let (left, right) = grid.gaps[column];
        let (from, to) = (grid.right(column) + left, grid.left(column + 1) - right);
        let (leaves, reaches) = (MARGIN + leaves, MARGIN + reaches);
        let middle = f64::midpoint(from, to);
        if step == 0 {
            let _ = write!(path, "M{begin:.1} {leaves:.1}");
        }
        let _ = write!(
            path,
            "H{from:.1}C{middle:.1} {leaves:.1} {middle:.1} {reaches:.1} {to:.1} {reaches:.1}"
        );
    }
    let _ = write!(path, "H{end:.1}");
    let name = |at: usize| graph.nodes.get(at).map_or("", |node| node.name.as_str());
    let title = format!("{} to {} as {}", name(edge.recipient), name(edge.source), edge.label());
    let side = if route.backward { "start" } else { "end" };
    let _ = writeln!(
        out,
        "<g class=\"{class}\"><title>{}</title>\
         <path class=\"link\" d=\"{path}\" marker-{side}=\"url(#{tip})\"/>",
        escaped(&title)
    );
    let (x, y, anchor) = match (route.backward, route.steps.first(), route.steps.last()) {
        (true, _, Some((_, y))) => (end - 10.0, *y, "end"),
        (false, Some((y, _)), _) => (begin + 10.0, *y, "start"),
        _ => (0.0, 0.0, "start"),
    };
    let anchor = format!("class=\"label\" text-anchor=\"{anchor}\"");
    text(out, (x, MARGIN + y - 7.0), &anchor, &cut(&edge.label()));
    out.push_str("</g>\n");
}

fn text(out: &mut String, (x, y): (f64, f64), attributes: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escaped(text));
}

fn cut(text: &str) -> String {
    let text = plain(text);
    if text.len() <= LETTERS {
        return text;
    }
    text.chars().take(LETTERS - 3).collect::<String>() + "..."
}

fn length(text: &str) -> f64 {
    count(text.chars().count())
}

/// Escapes text for XML content and attributes.
fn escaped(text: &str) -> String {
    let text = plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
