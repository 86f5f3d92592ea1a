//! Tables that can be sorted and searched where scripts run, and read where they do not.

use maud::{Markup, html};

/// A table.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// What is in it.
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// Whether it has a field for searching.
    pub is_searchable: bool,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: String,
    is_number: bool,
}

/// A cell: what is shown, and the number by which it is sorted, if it is one.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    shown: Markup,
    number: Option<f64>,
    /// The share of its area that has a background, from 0 to 1.
    shade: Option<f64>,
}

impl Column {
    pub fn text(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            is_number: false,
        }
    }

    pub fn number(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            is_number: true,
        }
    }
}

impl Cell {
    pub fn text(text: &str) -> Self {
        Self::markup(html! { (text) })
    }

    pub fn markup(shown: Markup) -> Self {
        Self {
            shown,
            number: None,
            shade: None,
        }
    }

    pub fn count(count: u64) -> Self {
        Self {
            number: Some(count as f64),
            ..Self::text(&grouped(count))
        }
    }

    /// A number with so many digits; nothing if it is undefined.
    pub fn number(number: impl Into<Option<f64>>, digits: usize) -> Self {
        let number = number.into();
        Self {
            number: Some(number.unwrap_or(f64::NEG_INFINITY)),
            ..Self::text(&fixed(number, digits))
        }
    }

    /// A share in per cent.
    pub fn percent(share: impl Into<Option<f64>>) -> Self {
        Self::number(share.into().map(|share| 100.0 * share), 2)
    }

    /// The same with a bar behind it.
    pub fn with_bar(self, share: Option<f64>) -> Self {
        Self {
            shade: share.map(|share| share.clamp(0.0, 1.0)),
            ..self
        }
    }

    /// Markup that is sorted by a number.
    pub fn sorted(shown: Markup, number: f64) -> Self {
        Self {
            number: Some(number),
            ..Self::markup(shown)
        }
    }
}

/// A number as scripts read it.
fn sortable(number: f64) -> String {
    match number.is_finite() {
        true => number.to_string(),
        false => "-Infinity".to_owned(),
    }
}

/// A number with so many digits behind the point; a dash if it is undefined.
pub(super) fn fixed(number: Option<f64>, digits: usize) -> String {
    match number {
        Some(number) => format!("{number:.digits$}"),
        None => "–".to_owned(),
    }
}

/// A count with its thousands apart.
pub(super) fn grouped(count: u64) -> String {
    crate::recipe::grouped(count as usize)
}

impl Table {
    pub fn new(caption: impl Into<String>, columns: Vec<Column>) -> Self {
        Self {
            caption: caption.into(),
            columns,
            ..Self::default()
        }
    }

    pub fn searchable(self) -> Self {
        Self {
            is_searchable: true,
            ..self
        }
    }

    pub fn render(&self) -> Markup {
        html! {
            div.table {
                @if self.is_searchable {
                    label.search { "Search " input type="search" autocomplete="off"; output aria-live="polite" {} }
                }
                div.scroll tabindex="0" role="group" aria-label=(self.caption) {
                    table {
                        caption { (self.caption) }
                        thead { tr {
                            @for column in &self.columns {
                                th scope="col" class=[column.is_number.then_some("number")] { (column.name) }
                            }
                        } }
                        tbody {
                            @for row in &self.rows {
                                tr {
                                    @for (cell, column) in row.iter().zip(&self.columns) {
                                        td class=[column.is_number.then_some("number")] data-v=[cell.number.map(sortable)]
                                            style=[cell.shade.map(|share| format!("--share:{:.1}%", 100.0 * share))] {
                                            (cell.shown)
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
