//! Formatting of tables and numbers.

/// Rows of cells in aligned columns: the first column is left-aligned, the others right-aligned.
/// The first row is the header.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column));
        widths
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells =
            row.iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
        let line: Vec<String> = cells.collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Labels of a text, separated by commas; `(none)` if there are none.
pub(super) fn joined<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    let labels: Vec<&str> = labels.collect();
    match labels.is_empty() {
        true => "(none)".to_owned(),
        false => labels.join(","),
    }
}

/// A share as a percentage, or a dash if it is undefined.
pub(super) fn percent(share: Option<f64>) -> String {
    match share {
        Some(share) => format!("{:.2}", 100.0 * share),
        None => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["class".into(), "n".into()],
            vec!["a".into(), "100".into()],
        ];
        assert_eq!(table(&rows), "class    n\na      100\n");
        assert_eq!(percent(Some(0.5)), "50.00");
        assert_eq!(percent(None), "-");
        assert_eq!(joined(["a", "b"].into_iter()), "a,b");
        assert_eq!(joined([].into_iter()), "(none)");
    }
}
