//! Medians, percentiles, and ratios of one round.

use std::fmt;

/// What lies in the middle of the rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len();
        assert!(count > 0, "no round was measured");
        let median = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
        Spread { median, min: values[0], max: values[count - 1] }
    }

    /// Of the ratios of the same rounds.
    #[must_use]
    pub fn of_ratios(of: impl Iterator<Item = f64>, to: impl Iterator<Item = f64>) -> Self {
        Self::of(of.zip(to).map(|(of, to)| of / to))
    }
}

/// `1.01 (0.98–1.05)`
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, min, max } = *self;
        let digits = if median < 10.0 { 2 } else { usize::from(median < 100.0) };
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

/// Of sorted values.
#[must_use]
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    f64::from(sorted.get(at).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_round() {
        // Twice as slow in each round, while the rounds differ by more than that.
        let spread = Spread::of_ratios([2.0, 20.0, 8.0].into_iter(), [1.0, 10.0, 4.0].into_iter());
        assert_eq!((spread.min, spread.median, spread.max), (2.0, 2.0, 2.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).to_string(), "2.50 (1.00–4.00)");
        assert_eq!(Spread::of([123.4]).to_string(), "123 (123–123)");
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<u32> = (0..=100).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| percentile(&sorted, share)), [50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[7], 0.99), 7.0);
    }
}
