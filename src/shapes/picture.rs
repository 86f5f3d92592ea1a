//! The network unrolled over the tokens of a text, as a picture with its shapes.

use super::dim::Symbol;
use super::network::Walk;
use super::{Part, Row};
use crate::models::classifier::ModelConfig;
use crate::ops::pooling::Pooling;
use std::fmt::{self, Write};

/// Distances and sizes in pixels.
const COLUMN: usize = 104;
const LEVEL: usize = 64;
const BOX: (usize, usize) = (76, 28);
const LEFT: usize = 370;
const MARGIN: usize = 24;
/// How far from the middle of a column the output of a direction leaves, to pass the other one.
const ASIDE: isize = 24;
/// The most columns: of a longer text the middle is left out.
const MOST: usize = 8;

/// An SVG of the model that was walked over, unrolled over the tokens of its first text.
pub fn svg(walk: &Walk, config: &ModelConfig, tokens: &[String]) -> String {
    let columns = columns(tokens);
    let layers = walk.values.get(&Symbol::NumLayers).copied().unwrap_or(1);
    let is_bidirectional = walk.values.get(&Symbol::Directions) == Some(&2);
    let levels_of_layer = if is_bidirectional { 2 } else { 1 };
    // From the bottom up: tokens, embedding, layers, pooled, logits.
    let levels = 2 + layers * levels_of_layer + 2;
    let width = LEFT + columns.len() * COLUMN + MARGIN;
    let height = 2 * MARGIN + levels * LEVEL;
    let mut picture = Picture {
        arrows: String::new(),
        boxes: String::new(),
        height,
        columns: columns.len(),
    };
    picture.label(0, "tokens", "ids", walk.row(Part::Prediction, "ids"));
    for (column, word) in columns.iter().enumerate() {
        picture.cell(column, 0, word, "token");
    }
    picture.label(
        1,
        "embedding",
        "embedded",
        walk.row(Part::Prediction, "embedded"),
    );
    for column in 0..columns.len() {
        picture.cell(column, 1, "embedding", "embedding");
        picture.up(column, (0, 0), 1);
    }
    // Levels whose outputs are read next, and how far from the middle of the column they leave.
    let mut outputs: Vec<(usize, isize)> = vec![(1, 0)];
    for layer in 0..layers {
        let first = 2 + layer * levels_of_layer;
        let output = walk.row(Part::Prediction, &format!("output of layer {layer}"));
        picture.label(first, &format!("layer {layer}, forward"), "output", output);
        let mut here = vec![(first, 0)];
        if is_bidirectional {
            let hidden = walk.row(Part::Prediction, &format!("h_n of layer {layer}"));
            picture.label(first + 1, &format!("layer {layer}, reverse"), "h_n", hidden);
            here = vec![(first, -ASIDE), (first + 1, ASIDE)];
        }
        picture.layer(&here, &outputs);
        outputs = here;
    }
    let pooled = levels - 2;
    picture.wide(pooled, "pooled", "pooled");
    picture.label(
        pooled,
        "pooling",
        "pooled",
        walk.row(Part::Prediction, "pooled"),
    );
    picture.pooling(&config.pooling, &outputs, pooled);
    picture.wide(pooled + 1, "decoder", "logits");
    picture.label(
        pooled + 1,
        "decoder",
        "logits",
        walk.row(Part::Prediction, "logits"),
    );
    picture.up((columns.len() - 1) / 2, (pooled, 0), pooled + 1);
    picture.finish(width)
}

/// Whether a pooling reads the output of a direction at a step that is the first or the last one.
fn is_read(kind: Pooling, is_reverse: bool, (is_first, is_last): (bool, bool)) -> bool {
    match kind {
        Pooling::Ends => is_first || is_last,
        Pooling::Final => match is_reverse {
            true => is_first,
            false => is_last,
        },
        Pooling::Mean | Pooling::Max => true,
    }
}

/// The labels of the boxes of the tokens, at least one.
fn columns(tokens: &[String]) -> Vec<String> {
    let word = |token: &String| token.chars().take(10).collect();
    let (first, last) = (MOST / 2, MOST - MOST / 2 - 1);
    match tokens.len() {
        0 => vec![String::new()],
        count if count <= MOST => tokens.iter().map(word).collect(),
        count => {
            let mut shown: Vec<String> = tokens[..first].iter().map(word).collect();
            shown.push(format!("... {} more", count - first - last));
            shown.extend(tokens[count - last..].iter().map(word));
            shown
        }
    }
}

impl Walk {
    /// The row of this name.
    fn row(&self, part: Part, name: &str) -> Option<&Row> {
        self.part(part).find(|row| row.name == name)
    }
}

struct Picture {
    /// Behind the boxes: what leads past one vanishes for a while.
    arrows: String,
    boxes: String,
    height: usize,
    columns: usize,
}

impl Picture {
    fn finish(self, width: usize) -> String {
        let Self {
            arrows,
            boxes,
            height,
            ..
        } = self;
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" class="network" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<style>
.network rect {{ stroke: #444; rx: 5px; }}
.network text {{ fill: #222; }}
.network .shape {{ fill: #666; font-family: monospace; font-size: 11px; }}
.network .token {{ fill: #fff; }} .network .embedding {{ fill: #e8e8e8; }}
.network .forward {{ fill: #cfe3f7; }} .network .reverse {{ fill: #f9dcc4; }}
.network .pooled {{ fill: #d8ecd0; }} .network .logits {{ fill: #f3e6a8; }}
.network path {{ stroke: #444; fill: none; marker-end: url(#head); }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" style="fill:#444;stroke:none;marker-end:none"/></marker></defs>
<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>
{arrows}{boxes}</svg>
"##
        )
    }

    /// The middle of a column.
    fn x(column: usize) -> usize {
        LEFT + column * COLUMN + COLUMN / 2
    }

    /// The middle of a level, counted from the bottom.
    fn y(&self, level: usize) -> usize {
        self.height - MARGIN - level * LEVEL - LEVEL / 2
    }

    // Writing to a string does not fail.
    fn put(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.boxes, "{line}");
    }

    fn arrow(&mut self, (x0, y0): (usize, usize), (x1, y1): (usize, usize)) {
        let _ = writeln!(self.arrows, r#"<path d="M{x0} {y0} L{x1} {y1}"/>"#);
    }

    fn rectangle(&mut self, middle: (usize, usize), width: usize, text: &str, class: &str) {
        let (x, y) = middle;
        let (left, top) = (x - width / 2, y - BOX.1 / 2);
        self.put(format_args!(
            r#"<rect class="{class}" x="{left}" y="{top}" width="{width}" height="{}"/>"#,
            BOX.1
        ));
        self.put(format_args!(
            r#"<text x="{x}" y="{}" text-anchor="middle">{}</text>"#,
            y + 4,
            escaped(text)
        ));
    }

    fn cell(&mut self, column: usize, level: usize, text: &str, class: &str) {
        let middle = (Self::x(column), self.y(level));
        self.rectangle(middle, BOX.0, text, class);
    }

    /// A box over all columns.
    fn wide(&mut self, level: usize, text: &str, class: &str) {
        let width = (self.columns - 1) * COLUMN + BOX.0;
        let middle = (LEFT + self.columns * COLUMN / 2, self.y(level));
        // Room for a text in a picture of one column.
        self.rectangle(middle, width.max(2 * BOX.0), text, class);
    }

    fn label(&mut self, level: usize, title: &str, tensor: &str, row: Option<&Row>) {
        let y = self.y(level);
        self.put(format_args!(
            r#"<text x="{MARGIN}" y="{}">{}</text>"#,
            y - 2,
            escaped(title)
        ));
        if let Some(row) = row {
            self.put(format_args!(
                r#"<text class="shape" x="{MARGIN}" y="{}">{tensor} {} = {}</text>"#,
                y + 13,
                escaped(&row.symbolic_text()),
                row.actual_text()
            ));
        }
    }

    /// The cells of a layer at the levels of its directions, and arrows to them: from the step before, and from
    /// the outputs below. An output is a level and how far from the middle of the column it leaves.
    fn layer(&mut self, directions: &[(usize, isize)], outputs: &[(usize, isize)]) {
        for column in 0..self.columns {
            for (direction, &(level, _)) in directions.iter().enumerate() {
                let name = ["forward", "reverse"][direction];
                self.cell(column, level, name, name);
                if column > 0 {
                    self.along(column - 1, level, direction == 1);
                }
                for &output in outputs {
                    self.up(column, output, level);
                }
            }
        }
    }

    /// Arrows to the pooled vector from the outputs of the directions that it is made of.
    fn pooling(&mut self, kinds: &[Pooling], outputs: &[(usize, isize)], level: usize) {
        for column in 0..self.columns {
            let place = (column == 0, column + 1 == self.columns);
            for (direction, &output) in outputs.iter().enumerate() {
                let mut kinds = kinds.iter();
                if kinds.any(|kind| is_read(*kind, direction == 1, place)) {
                    self.up(column, output, level);
                }
            }
        }
    }

    /// An arrow from the output of a level of a column to a higher level.
    fn up(&mut self, column: usize, (from, aside): (usize, isize), to: usize) {
        let x = Self::x(column).saturating_add_signed(aside);
        let (start, end) = (self.y(from) - BOX.1 / 2, self.y(to) + BOX.1 / 2);
        self.arrow((x, start), (x, end + 1));
    }

    /// An arrow from a column to the next one, or back.
    fn along(&mut self, column: usize, level: usize, is_reverse: bool) {
        let y = self.y(level);
        let left = Self::x(column) + BOX.0 / 2;
        let right = Self::x(column + 1) - BOX.0 / 2;
        match is_reverse {
            true => self.arrow((right, y), (left + 1, y)),
            false => self.arrow((left, y), (right - 1, y)),
        }
    }
}

/// A text between the tags of a document.
pub(super) fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            other if other.is_control() => result.push(' '),
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_middle_is_left_out() {
        let tokens: Vec<String> = (0..30)
            .map(|number| format!("token-number-{number}"))
            .collect();
        let shown = columns(&tokens);
        assert_eq!(shown.len(), MOST);
        assert_eq!(shown[3], "token-numb");
        assert_eq!(shown[4], "... 23 more");
        assert_eq!(columns(&tokens[..MOST]).len(), MOST);
        assert_eq!(columns(&[]), [""]);
    }

    #[test]
    fn arrows_lead_from_the_steps_that_a_pooling_reads() {
        let (first, middle, last) = ((true, false), (false, false), (false, true));
        for (kind, is_reverse, read) in [
            (Pooling::Ends, false, [true, false, true]),
            (Pooling::Ends, true, [true, false, true]),
            (Pooling::Final, false, [false, false, true]),
            (Pooling::Final, true, [true, false, false]),
            (Pooling::Max, false, [true, true, true]),
        ] {
            let found = [first, middle, last].map(|place| is_read(kind, is_reverse, place));
            assert_eq!(found, read, "{kind:?}");
        }
    }
}
