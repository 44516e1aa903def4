//! Medians and their spread, ratios, and the table that people read.

use super::measures::{Aim, Measure, Size};
use super::servers::Kind;

/// The figures of one server and measure, of all runs.
pub(super) struct Series {
    pub(super) measure: Measure,
    pub(super) kind: Kind,
    pub(super) values: Vec<f64>,
}

impl Series {
    /// The middle value; the lower one of two.
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    fn cell(&self) -> String {
        let low = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.values.len() {
            0 => "–".to_owned(),
            1 => format!("{:.2}", self.median()),
            _ => format!("{:.2} ({low:.2}–{high:.2})", self.median()),
        }
    }
}

/// Whether Exedra's figure keeps the aim, and the words for it.
pub(super) fn verdict(measure: Measure, exedra: f64, floor: Option<f64>) -> (bool, String) {
    match measure.aim() {
        Aim::Absolute(most) => (exedra <= most, format!("≤ {most}")),
        Aim::OfFloor(most) => {
            let ratio = exedra / floor.unwrap_or(f64::NAN);
            (ratio <= most, format!("≤ {most} × bare"))
        }
    }
}

/// The table as Markdown.
pub(super) fn markdown(series: &[Series], size: Size) -> String {
    const COLUMNS: [Kind; 4] = [Kind::Exedra, Kind::Epoll, Kind::Socketioxide, Kind::Node];
    let mut text = String::from("| |");
    for kind in COLUMNS {
        text.push_str(&format!(" {} |", kind.name()));
    }
    text.push_str(" Exedra : bare | Exedra : socketioxide | Exedra : Node | aim | |\n");
    text.push_str(&"|---".repeat(COLUMNS.len() + 6));
    text.push_str("|\n");
    for measure in Measure::ALL {
        let of = |kind: Kind| series.iter().find(|series| series.measure == measure && series.kind == kind);
        let Some(exedra) = of(Kind::Exedra) else { continue };
        text.push_str(&format!("| {} |", measure.title(size)));
        for kind in COLUMNS {
            text.push_str(&format!(" {} |", of(kind).map_or("–".to_owned(), Series::cell)));
        }
        for kind in [Kind::Epoll, Kind::Socketioxide, Kind::Node] {
            let ratio = of(kind).map(|other| format!("{:.2}", exedra.median() / other.median()));
            text.push_str(&format!(" {} |", ratio.unwrap_or("–".to_owned())));
        }
        let (kept, aim) = verdict(measure, exedra.median(), of(Kind::Epoll).map(Series::median));
        // Small runs say whether everything works; their figures are no figures.
        let word = match (size, kept) {
            (Size::Quick, _) => "not judged",
            (Size::Full, true) => "kept",
            (Size::Full, false) => "MISSED",
        };
        text.push_str(&format!(" {aim} | {word} |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(kind: Kind, values: &[f64]) -> Series {
        Series { measure: Measure::Strict, kind, values: values.to_vec() }
    }

    #[test]
    fn median_is_the_middle_run() {
        assert_eq!(series(Kind::Exedra, &[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(series(Kind::Exedra, &[4.0, 1.0]).median(), 1.0);
    }

    #[test]
    fn aims_are_judged_against_the_floor() {
        assert!(verdict(Measure::Strict, 4.2, Some(4.0)).0);
        assert!(!verdict(Measure::Strict, 4.3, Some(4.0)).0);
        assert!(!verdict(Measure::Strict, 4.3, None).0);
        assert!(!verdict(Measure::Memory, 4.1, None).0);
    }

    #[test]
    fn table_has_ratios_and_spread() {
        let all = [series(Kind::Exedra, &[4.0, 5.0, 4.5]), series(Kind::Epoll, &[4.5])];
        let table = markdown(&all, Size::Full);
        let line = table.lines().last().unwrap();
        assert!(line.contains("| 4.50 (4.00–5.00) | 4.50 | – | – | 1.00 | – | – |"), "{table}");
        assert!(line.ends_with("kept |"), "{table}");
        let columns = |line: &str| line.matches('|').count();
        assert!(table.lines().all(|other| columns(other) == columns(line)), "{table}");
    }
}
