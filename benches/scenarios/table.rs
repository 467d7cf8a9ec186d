//! Plain text tables and CSV files.

use std::fmt::Display;
use std::fs;
use std::path::Path;

/// A table: the first column to the left, figures to the right, notes below.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, heads: &[&str]) -> Self {
        Self { title: title.to_owned(), rows: vec![heads.iter().map(ToString::to_string).collect()] }
    }

    pub fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }

    pub fn print(&self, note: &str) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| self.rows.iter().filter_map(|r| r.get(at)).map(|c| c.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1));
        println!("\n{}\n{rule}", self.title);
        for (n, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate();
            let line: Vec<String> = cells
                .map(|(at, (c, w))| if at == 0 { format!("{c:<w$}") } else { format!("{c:>w$}") })
                .collect();
            println!("{}", line.join("  ").trim_end());
            if n == 0 || n == self.rows.len() - 1 {
                println!("{rule}");
            }
        }
        println!("{note}");
    }
}

/// Lines of figures, written at the end.
pub struct Csv {
    text: String,
}

impl Csv {
    pub fn new(heads: &str) -> Self {
        Self { text: format!("{heads}\n") }
    }

    /// A line; what is None is an empty field.
    pub fn line(&mut self, cells: &[Option<f64>]) {
        let cells: Vec<String> =
            cells.iter().map(|c| c.map_or(String::new(), |x| format!("{x:.4}"))).collect();
        self.text += &(cells.join(",") + "\n");
    }

    pub fn named(&mut self, names: &[&dyn Display], cells: &[f64]) {
        let names = names.iter().map(ToString::to_string);
        let cells: Vec<String> = names.chain(cells.iter().map(|x| format!("{x:.4}"))).collect();
        self.text += &(cells.join(",") + "\n");
    }

    pub fn write(&self, folder: &Path, name: &str) {
        fs::create_dir_all(folder).expect("a folder for the figures");
        fs::write(folder.join(name), &self.text).expect("room for the figures");
    }
}

/// Milliseconds, one decimal.
pub fn ms(value: f64) -> String {
    format!("{value:.1}")
}

/// A share in percent.
pub fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.2}", 100.0 * part / whole) } else { "–".to_owned() }
}
