//! A curve in one line of text.

/// A curve of at most 40 blocks: of longer ones neighbours are averaged.
#[derive(Debug, Default)]
pub(super) struct Sparkline {
    /// The means of `width` values each.
    points: Vec<f64>,
    /// Values that are no point yet: their sum and their number.
    rest: (f64, u32),
    width: u32,
}

const MOST: usize = 40;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Sparkline {
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.width = self.width.max(1);
        self.rest = (self.rest.0 + value, self.rest.1 + 1);
        if self.rest.1 < self.width {
            return;
        }
        self.points.push(self.rest.0 / f64::from(self.rest.1));
        self.rest = (0.0, 0);
        if self.points.len() == MOST {
            let pairs = self.points.chunks_exact(2);
            self.points = pairs.map(|pair| (pair[0] + pair[1]) / 2.0).collect();
            self.width *= 2;
        }
    }
}

impl std::fmt::Display for Sparkline {
    /// From the lowest value to the highest one; nothing of fewer than two points.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.points.len() < 2 {
            return Ok(());
        }
        let low = self.points.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self
            .points
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        for point in &self.points {
            let share = (point - low) / (high - low).max(f64::MIN_POSITIVE);
            let block = (share * BLOCKS.len() as f64) as usize;
            f.write_str(BLOCKS[block.min(BLOCKS.len() - 1)].encode_utf8(&mut [0; 4]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = f64>) -> String {
        let mut line = Sparkline::default();
        values.into_iter().for_each(|value| line.add(value));
        line.to_string()
    }

    #[test]
    fn a_curve_goes_from_its_lowest_to_its_highest_value() {
        assert_eq!(of([0.0, 1.0, 2.0, 4.0, 8.0]), "▁▂▃▅█");
        assert_eq!(of([3.0, 3.0]), "▁▁");
        assert_eq!(of([5.0]), "");
        assert_eq!(of([1.0, f64::NAN, 2.0]), "▁█");
    }

    #[test]
    fn a_long_curve_is_averaged() {
        let line = of((0..1000).map(f64::from));
        let blocks = line.chars().count();
        assert!((MOST / 2..MOST).contains(&blocks), "{blocks}");
        assert!(line.starts_with('▁') && line.ends_with('█'), "{line}");
    }
}
