//! What a dashboard is made of: rows of panels, each of which answers one question with a few queries.
//!
//! Plain data. Positions and ids are not said here: the first follow from the order, the second from the titles, so
//! that a panel that is put in or taken out renumbers no other.

/// One dashboard, which becomes one file.
#[derive(Debug)]
pub(crate) struct Dashboard {
    /// The file's name and the end of its address; never changed once published.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    /// What it is for, in a sentence.
    pub(crate) about: &'static str,
    /// Whether a reader can choose plugins.
    pub(crate) by_plugin: bool,
    pub(crate) rows: Vec<Row>,
}

/// A titled row of panels.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) title: &'static str,
    /// Folded until somebody asks: what is rarely read, on a long dashboard.
    pub(crate) collapsed: bool,
    pub(crate) panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) kind: Kind,
    pub(crate) title: &'static str,
    /// The question that it answers, as a reader would ask it, and what a good answer looks like.
    pub(crate) question: &'static str,
    pub(crate) unit: Unit,
    pub(crate) queries: Vec<Query>,
    pub(crate) marks: Option<Marks>,
    /// Columns of 24.
    pub(crate) width: u32,
    /// The slug of the dashboard that tells more.
    pub(crate) more: Option<&'static str>,
}

/// How a panel shows its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One number.
    Stat,
    /// 1 is good and 0 is bad, in words.
    Light,
    /// Lines over time.
    Lines,
    /// Lines that add up.
    Stack,
    /// A histogram over time.
    Heatmap,
    /// A bar for each label value, over the whole range.
    Bars,
    /// A row for each set of labels.
    Table,
}

/// The units in use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Count,
    Bytes,
    BytesPerSecond,
    EventsPerSecond,
    MessagesPerSecond,
    PerSecond,
    Seconds,
    /// From 0 to 1.
    Share,
}

/// One PromQL expression and what its series are called.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) expression: String,
    /// With labels in double braces.
    pub(crate) legend: String,
}

/// Where a value stops to be good. Which side is bad follows from the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) warn: f64,
    pub(crate) bad: f64,
}

impl Dashboard {
    pub(crate) fn new(slug: &'static str, title: &'static str, about: &'static str) -> Self {
        Self { slug, title, about, by_plugin: false, rows: Vec::new() }
    }

    pub(crate) fn by_plugin(mut self) -> Self {
        self.by_plugin = true;
        self
    }

    pub(crate) fn row<const N: usize>(mut self, title: &'static str, panels: [Panel; N]) -> Self {
        self.rows.push(Row { title, collapsed: false, panels: panels.into() });
        self
    }

    /// A row that is folded at first.
    pub(crate) fn folded<const N: usize>(mut self, title: &'static str, panels: [Panel; N]) -> Self {
        self.rows.push(Row { title, collapsed: true, panels: panels.into() });
        self
    }
}

impl Panel {
    pub(crate) fn new(kind: Kind, title: &'static str, unit: Unit, question: &'static str) -> Self {
        let width = match kind {
            Kind::Stat | Kind::Light => 4,
            Kind::Table => 24,
            Kind::Lines | Kind::Stack | Kind::Heatmap | Kind::Bars => 12,
        };
        Self { kind, title, question, unit, queries: Vec::new(), marks: None, width, more: None }
    }

    /// Adds a query; an empty legend leaves the name to Grafana.
    pub(crate) fn ask(mut self, legend: &str, expression: impl Into<String>) -> Self {
        self.queries.push(Query { expression: expression.into(), legend: legend.to_owned() });
        self
    }

    pub(crate) fn marks(mut self, warn: f64, bad: f64) -> Self {
        self.marks = Some(Marks { warn, bad });
        self
    }

    pub(crate) fn wide(mut self, columns: u32) -> Self {
        self.width = columns;
        self
    }

    pub(crate) fn more(mut self, slug: &'static str) -> Self {
        self.more = Some(slug);
        self
    }
}

impl Kind {
    /// Rows of Grafana's grid.
    pub(crate) fn height(self) -> u32 {
        match self {
            Self::Stat | Self::Light => 4,
            Self::Lines | Self::Stack | Self::Heatmap | Self::Bars | Self::Table => 8,
        }
    }

    /// Whether only the newest value, or the one over the whole range, is asked for.
    pub(crate) fn instant(self) -> bool {
        matches!(self, Self::Light | Self::Bars | Self::Table)
    }

    /// Grafana's name of the panel.
    pub(crate) fn plugin(self) -> &'static str {
        match self {
            Self::Stat | Self::Light => "stat",
            Self::Lines | Self::Stack => "timeseries",
            Self::Heatmap => "heatmap",
            Self::Bars => "bargauge",
            Self::Table => "table",
        }
    }
}

impl Unit {
    /// Grafana's name of the unit.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::EventsPerSecond => "eps",
            Self::MessagesPerSecond => "mps",
            Self::PerSecond => "cps",
            Self::Seconds => "s",
            Self::Share => "percentunit",
        }
    }
}
