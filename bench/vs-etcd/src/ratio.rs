//! Medians, ranges, and ratios taken pair by pair.

use serde::Serialize;

/// Several measurements of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// Nothing of nothing. The median of an even number is the mean of the middle two.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Spread {
            median,
            least,
            greatest,
        })
    }
}

/// Quorate's value divided by etcd's of the same round; nothing where etcd's is 0, which happens when a
/// run is too short for the clock.
pub(crate) fn ratio(quorate: f64, etcd: f64) -> Option<f64> {
    (etcd > 0.0).then(|| quorate / etcd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_has_its_middle_as_the_median() {
        let spread = Spread::of([3.0, 1.0, 10.0, 2.0, 2.5]).expect("five values");
        assert_eq!(
            (spread.least, spread.median, spread.greatest),
            (1.0, 2.5, 10.0)
        );
    }

    #[test]
    fn an_even_number_has_the_mean_of_the_middle_two() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).expect("four values");
        assert_eq!(
            (spread.least, spread.median, spread.greatest),
            (1.0, 2.5, 4.0)
        );
    }

    #[test]
    fn one_value_is_all_three_and_none_is_nothing() {
        let spread = Spread::of([7.0]).expect("one value");
        assert_eq!(
            (spread.least, spread.median, spread.greatest),
            (7.0, 7.0, 7.0)
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_median_of_ratios_is_not_the_ratio_of_medians() {
        // A slow second round slows both; pair by pair it does not matter.
        let pairs = [(200.0, 100.0), (90.0, 40.0), (210.0, 105.0)];
        let ratios = pairs.into_iter().filter_map(|(a, b)| ratio(a, b));
        let spread = Spread::of(ratios).expect("three ratios");
        assert_eq!(
            (spread.least, spread.median, spread.greatest),
            (2.0, 2.0, 2.25)
        );
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(0.0, 2.0), Some(0.0));
    }
}
