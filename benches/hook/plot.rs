//! The picture for docs/performance.md: cost against number of links, a line per backend.

use serde_json::Value;
use std::fmt::Write;

/// A chart: the rows that belong to it, its title, what its axis says, and its scale.
const CHARTS: [(&str, &str, &str, Scale); 2] = [
    (
        "createRuntime",
        "The hook that starts a container",
        "times a program that does nothing",
        Scale { top: 8.0, ticks: &[0.0, 2.0, 4.0, 6.0, 8.0], place: |ratio| ratio / 8.0 },
    ),
    (
        "UDP packet, one way",
        "A packet from one container to another",
        "times the same without any rules",
        Scale { top: 32.0, ticks: &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0], place: |r| r.log2() / 5.0 },
    ),
];
/// Told apart by those who see colours differently, too.
const LINES: [(&str, &str); 4] =
    [("iptables", "#c2410c"), ("ipset", "#0369a1"), ("nftables", "#047857"), ("none", "#6b7280")];
const LINKS: [(f64, &str); 5] =
    [(1.0, "1"), (10.0, "10"), (100.0, "100"), (1000.0, "1,000"), (10_000.0, "10,000")];

const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif; \
fill: #4b5563 } \
.title { font-size: 16px; font-weight: 600; fill: #111827 } \
.name { font-weight: 600 } \
.grid { stroke: #e5e7eb } \
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }";

/// The whole picture, and of it a chart's share and the place of its axes.
const SIZE: (f64, f64) = (920.0, 400.0);
const CHART: f64 = 450.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 340.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 334.0;
/// Names at the ends of lines are so far apart, or they could not be read.
const APART: f64 = 17.0;

/// From a ratio to its height, as a part of the axis.
struct Scale {
    top: f64,
    ticks: &'static [f64],
    place: fn(f64) -> f64,
}

/// A line with the place of its points.
struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// A picture of the rows that are marked for it.
pub(crate) fn draw(rows: &[Value]) -> String {
    let (width, height) = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>What a link costs, by backend and number of links on the host</title>\n\
         <style>{STYLE}</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"10\" fill=\"#fff\" \
         stroke=\"#d1d5db\"/>\n",
        width - 1.0,
        height - 1.0
    );
    for (number, (chart, title, axis, scale)) in CHARTS.iter().enumerate() {
        let left = if number == 0 { 10.0 } else { 10.0 + CHART };
        let _ = writeln!(svg, "<g transform=\"translate({left} 0)\">");
        text(&mut svg, (16.0, 38.0), "class=\"title\"", title);
        text(&mut svg, (16.0, 60.0), "", axis);
        axes(&mut svg, scale);
        lines(&mut svg, rows, chart, scale);
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

fn axes(svg: &mut String, scale: &Scale) {
    for tick in scale.ticks {
        let y = scale.y(*tick);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>");
        text(svg, (LEFT - 10.0, y + 4.5), "text-anchor=\"end\"", &format!("{tick} ×"));
    }
    for (links, label) in LINKS {
        text(svg, (x(links), BOTTOM + 22.0), "text-anchor=\"middle\"", label);
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    text(svg, (middle, BOTTOM + 46.0), "text-anchor=\"middle\"", "links on the host");
}

fn lines(svg: &mut String, rows: &[Value], chart: &str, scale: &Scale) {
    let line = |(name, colour)| {
        let own = rows.iter().filter(|row| row["chart"] == chart && row["backend"] == name);
        let point = |row: &Value| Some((row["links"].as_f64()?, row["median"].as_f64()?));
        let place = |(links, ratio)| (x(links), scale.y(ratio));
        Line { name, colour, points: own.filter_map(point).map(place).collect() }
    };
    let mut lines: Vec<Line> = LINES.into_iter().map(line).collect();
    lines.retain(|line| !line.points.is_empty());
    for Line { colour, points, .. } in &lines {
        let path: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let path = path.join("L");
        let _ = writeln!(svg, "<path class=\"line\" stroke=\"{colour}\" d=\"M{path}\"/>");
        for (x, y) in points {
            let _ =
                writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>");
        }
    }
    names(svg, lines);
}

/// Each beside the end of its line, as near as the others let it.
fn names(svg: &mut String, mut lines: Vec<Line>) {
    let end = |line: &Line| line.points.last().copied().unwrap_or_default();
    // From the lowest on the paper upwards, so that none is pushed into the axis below.
    lines.sort_by(|a, b| end(b).1.total_cmp(&end(a).1));
    let mut lowest: Option<(f64, f64)> = None;
    for line in lines {
        let (x, y) = end(&line);
        // Names at the ends of lines of other lengths are not in the way.
        let y = lowest
            .filter(|(other, _)| (other - x).abs() < 1.0)
            .map_or(y, |(_, below)| y.min(below - APART));
        lowest = Some((x, y));
        let style = format!("class=\"name\" style=\"fill:{}\"", line.colour);
        text(svg, (x + 12.0, y + 4.5), &style, line.name);
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>");
}

fn x(links: f64) -> f64 {
    LEFT + links.log10() / 4.0 * (RIGHT - LEFT)
}

impl Scale {
    /// What is beyond the scale is drawn at its end.
    fn y(&self, ratio: f64) -> f64 {
        BOTTOM - (self.place)(ratio.min(self.top)).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }
}
