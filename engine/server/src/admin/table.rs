//! Tables for people: columns aligned, no frame, as wide as the terminal.

use comfy_table::{ContentArrangement, Table, presets};

pub(crate) fn print(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header(header.to_vec());
    table.add_rows(rows);
    outln!("{table}");
}
