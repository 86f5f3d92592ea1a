//! Charts of lines and points, drawn by `plotters` as SVG.
//!
//! Their colours are those of the page: each colour that is drawn here has a rule in `page.css` for light and dark.

use crate::error::{Error, Result};
use maud::{Markup, PreEscaped};
use plotters::coord::Shift;
use plotters::prelude::*;

/// A chart, drawn in a fixed size and shown in any.
pub(super) struct Chart<'a> {
    /// What it shows, for people who do not see it.
    pub name: &'a str,
    pub x: Axis<'a>,
    pub y: Axis<'a>,
    pub series: Vec<Series<'a>>,
}

/// An axis.
pub(super) struct Axis<'a> {
    pub name: &'a str,
    /// Its ends; by default those of the values.
    pub range: Option<(f64, f64)>,
}

/// Points that belong together.
pub(super) struct Series<'a> {
    /// Its name in the legend; none of a line that is only a reference.
    pub name: Option<&'a str>,
    pub kind: Kind,
    pub points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Line,
    /// A line with a dot at each point.
    Dotted,
    /// A thin grey line.
    Reference,
}

/// The size in which charts are drawn; the page scales them.
const SIZE: (u32, u32) = (720, 450);
/// The size of letters, in a chart that is shown at about half its size.
const LETTERS: u32 = 24;
/// Colours that colour-blind people can tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];
/// Letters and axes.
const INK: RGBColor = RGBColor(64, 64, 64);
/// The grid and references.
const GRID: RGBColor = RGBColor(200, 200, 200);
/// More points than this are thinned.
const MOST_POINTS: usize = 240;

impl Chart<'_> {
    /// The chart as an SVG element; nothing without points.
    pub fn draw(&self) -> Result<Markup> {
        let mut svg = String::new();
        if self.points().next().is_none() {
            return Ok(PreEscaped(svg));
        }
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.draw_on(&area).map_err(|error| {
                Error::argument("chart", format!("{} cannot be drawn: {error}", self.name))
            })?;
        }
        // The page sets the size, and says what is to be seen.
        let root = format!(
            "<svg role=\"img\" aria-label=\"{}\" ",
            self.name.replace('&', "&amp;").replace('"', "&quot;")
        );
        let sized = format!("<svg width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
        Ok(PreEscaped(
            svg.replacen(&sized, &root, 1).replace(">\n", ">"),
        ))
    }

    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.series.iter().flat_map(|series| &series.points)
    }

    fn draw_on<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> std::result::Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let x = self.x.ends(self.points().map(|point| point.0));
        let y = self.y.ends(self.points().map(|point| point.1));
        let mut chart = ChartBuilder::on(area)
            .margin(14)
            .margin_right(36)
            .x_label_area_size(70)
            .y_label_area_size(110)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        let letters = ("sans-serif", LETTERS).into_font().color(&INK);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(1))
            .axis_style(INK.stroke_width(2))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| number(*value, x))
            .y_label_formatter(&|value| number(*value, y))
            .label_style(letters.clone())
            .axis_desc_style(letters.clone())
            .x_desc(self.x.name)
            .y_desc(self.y.name)
            .draw()?;
        let mut named = 0;
        for series in &self.series {
            let colour = match series.kind {
                Kind::Reference => INK,
                _ => COLOURS[named % COLOURS.len()],
            };
            let width = if series.kind == Kind::Reference { 1 } else { 3 };
            let points = thinned(&series.points);
            if series.kind == Kind::Dotted {
                let dot = |point: &(f64, f64)| Circle::new(*point, 6, colour.filled());
                chart.draw_series(points.iter().map(dot))?;
            }
            let line = LineSeries::new(points, colour.stroke_width(width));
            let drawn = chart.draw_series(line)?;
            if let Some(name) = series.name {
                named += 1;
                drawn.label(name).legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 32, y)], colour.stroke_width(3))
                });
            }
        }
        if named > 1 {
            chart
                .configure_series_labels()
                .label_font(letters)
                .legend_area_size(44)
                .margin(8)
                .position(self.free_corner(x, y))
                .draw()?;
        }
        area.present()
    }

    /// The corner with the fewest points, for the legend.
    fn free_corner(&self, x: (f64, f64), y: (f64, f64)) -> SeriesLabelPosition {
        let mut taken = [0; 4];
        let named = self.series.iter().filter(|series| series.name.is_some());
        for point in named.flat_map(|series| thinned(&series.points)) {
            let right = (point.0 - x.0) > 0.5 * (x.1 - x.0);
            let upper = (point.1 - y.0) > 0.5 * (y.1 - y.0);
            taken[2 * usize::from(right) + usize::from(upper)] += 1;
        }
        let corners = [
            SeriesLabelPosition::LowerLeft,
            SeriesLabelPosition::UpperLeft,
            SeriesLabelPosition::LowerRight,
            SeriesLabelPosition::UpperRight,
        ];
        // Of equally free corners, the upper right one.
        let free = (0..4)
            .rev()
            .min_by_key(|&corner| taken[corner])
            .unwrap_or(3);
        corners[free].clone()
    }
}

impl Axis<'_> {
    /// The ends of the axis for these values.
    fn ends(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (low, high) = self.range.unwrap_or_else(|| {
            let finite = values.filter(|value| value.is_finite());
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        });
        match (low.is_finite() && high.is_finite(), high > low) {
            (false, _) => (0.0, 1.0),
            (true, true) => (low, high),
            // A single value is in the middle.
            (true, false) => (
                low - low.abs().max(1.0) / 2.0,
                low + low.abs().max(1.0) / 2.0,
            ),
        }
    }
}

/// At most so many points that no difference can be seen: evenly chosen ones, with the first and the last.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite = points
        .iter()
        .filter(|point| point.0.is_finite() && point.1.is_finite());
    let points: Vec<(f64, f64)> = finite.copied().collect();
    evenly(&points, MOST_POINTS).collect()
}

/// At most so many of these points, evenly chosen, with the first and the last.
pub(super) fn evenly(points: &[(f64, f64)], most: usize) -> impl Iterator<Item = (f64, f64)> {
    let (last, number) = (points.len().saturating_sub(1), most.min(points.len()));
    (0..number).map(move |index| points[index * last / (number - 1).max(1)])
}

/// A number beside an axis with these ends: with as many digits as tell its labels apart.
fn number(value: f64, (low, high): (f64, f64)) -> String {
    let value = if value.abs() < (high - low) * 1e-9 {
        0.0
    } else {
        value
    };
    let size = low.abs().max(high.abs());
    if size >= 10_000.0 {
        return format!("{}k", shortened(value / 1000.0, (high - low) / 1000.0));
    }
    if size < 0.001 && value != 0.0 {
        return format!("{value:.1e}");
    }
    shortened(value, high - low)
}

fn shortened(value: f64, span: f64) -> String {
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_digits_that_they_need() {
        assert_eq!(number(0.2, (0.0, 1.0)), "0.2");
        assert_eq!(number(1e-17, (-1.0, 1.0)), "0");
        assert_eq!(number(250.0, (0.0, 1000.0)), "250");
        assert_eq!(number(25_000.0, (0.0, 60_000.0)), "25k");
        assert_eq!(number(0.0004, (0.0, 0.0009)), "4.0e-4");
        assert_eq!(number(0.6825, (0.68, 0.69)), "0.6825");
    }

    #[test]
    fn many_points_are_thinned_to_the_first_the_last_and_some_between() {
        let points: Vec<(f64, f64)> = (0..1000).map(|index| (f64::from(index), 1.0)).collect();
        let found = thinned(&points);
        assert_eq!(found.len(), MOST_POINTS);
        assert_eq!((found[0].0, found[MOST_POINTS - 1].0), (0.0, 999.0));
        assert_eq!(thinned(&[(1.0, f64::NAN), (2.0, 3.0)]), [(2.0, 3.0)]);
    }

    #[test]
    fn a_chart_is_one_element_without_a_size() {
        let axis = |name| Axis { name, range: None };
        let chart = Chart {
            name: "loss & \"steps\"",
            x: axis("step"),
            y: axis("loss"),
            series: vec![Series {
                name: Some("training"),
                kind: Kind::Dotted,
                points: vec![(0.0, 1.0), (1.0, 0.5)],
            }],
        };
        let svg = chart.draw().unwrap().into_string();
        let start =
            "<svg role=\"img\" aria-label=\"loss &amp; &quot;steps&quot;\" viewBox=\"0 0 720 450\"";
        assert!(svg.starts_with(start), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.trim_end().ends_with("</svg>"));
        assert_eq!(chart.draw().unwrap().into_string(), svg);
        let empty = Chart {
            series: Vec::new(),
            ..chart
        };
        assert_eq!(empty.draw().unwrap().into_string(), "");
    }
}
