//! What a command prints, for people or for programs.

use clap::{Args, ValueEnum};

/// The format of a command's output.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Short for --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Output {
    /// The format that was asked for.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Output formats for people and for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table.
    #[default]
    Table,
    /// JSON.
    Json,
}

/// `graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,
    /// Print JSON in place of a drawing.
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
}

/// Output formats of `graph`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// One line per container and link.
    #[default]
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid, for Markdown.
    Mermaid,
    /// An SVG image.
    Svg,
    /// A page with search and details.
    Html,
}
