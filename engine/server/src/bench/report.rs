//! What a bench prints: a table for people with ratios, the same as JSON for scripts.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// Rows and what they mean.
pub(super) struct Report {
    name: &'static str,
    header: Vec<&'static str>,
    rows: Vec<(Vec<String>, Value)>,
    verdicts: Vec<(String, Value)>,
    notes: Vec<String>,
    data: Value,
}

impl Report {
    pub(super) fn new(name: &'static str, header: &[&'static str]) -> Self {
        let header = header.to_vec();
        Self { name, header, rows: Vec::new(), verdicts: Vec::new(), notes: Vec::new(), data: Value::Null }
    }

    pub(super) fn row(&mut self, cells: Vec<String>, json: Value) {
        self.rows.push((cells, json));
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A figure against what is allowed. `relation` is `<=` or `>=`.
    pub(super) fn verdict(&mut self, what: String, value: f64, relation: &'static str, allowed: f64) {
        let met = if relation == "<=" { value <= allowed } else { value >= allowed };
        let word = if met { "met" } else { "MISSED" };
        self.verdicts.push((
            format!("{word}: {what}: {value:.2} {relation} {allowed:.2}"),
            json!({ "what": what, "value": value, "relation": relation, "allowed": allowed, "met": met }),
        ));
    }

    /// What only scripts want.
    pub(super) fn data(&mut self, data: Value) {
        self.data = data;
    }

    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            let rows: Vec<&Value> = self.rows.iter().map(|(_, json)| json).collect();
            let verdicts: Vec<&Value> = self.verdicts.iter().map(|(_, json)| json).collect();
            println!(
                "{}",
                json!({ "bench": self.name, "rows": rows, "verdicts": verdicts, "notes": self.notes, "data": self.data })
            );
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(self.header.clone());
        table.add_rows(self.rows.iter().map(|(cells, _)| cells.clone()));
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}\n");
        for line in self.verdicts.iter().map(|(line, _)| line).chain(&self.notes) {
            println!("{line}");
        }
        println!();
    }
}

/// The middle one; of an even number the mean of the two in the middle. 0 if there is none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn a_verdict_says_whether_the_figure_is_as_allowed() {
        let mut report = Report::new("test", &["a"]);
        report.verdict("cost".into(), 2.6, "<=", 2.5);
        report.verdict("speed".into(), 0.6, ">=", 0.5);
        let words: Vec<_> = report.verdicts.iter().map(|(line, _)| line.split(':').next().unwrap()).collect();
        assert_eq!(words, ["MISSED", "met"]);
    }
}
