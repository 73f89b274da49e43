//! The figures of several rounds.

/// What one contender needed in each round.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// No figures yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The smallest figure; infinite if there is none.
    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest figure; zero if there is none.
    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// The figure in the middle; of an even number, the lower of the two.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len().saturating_sub(1) / 2;
        sorted.get(middle).copied().unwrap_or(f64::NAN)
    }
}

/// `ours / theirs` as it stands in a table, with the limit that is set for it where there is one.
pub fn ratio(ours: f64, theirs: f64, at_most: Option<f64>) -> String {
    let ratio = ours / theirs;
    match at_most {
        Some(limit) if ratio <= limit => format!("{ratio:.2} (≤ {limit})"),
        Some(limit) => format!("**{ratio:.2}** (missed: ≤ {limit})"),
        None => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_up() {
        let mut rounds = Rounds::default();
        for figure in [3.0, 1.0, 2.0, 9.0] {
            rounds.push(figure);
        }
        assert_eq!(
            (rounds.min(), rounds.median(), rounds.max()),
            (1.0, 2.0, 9.0)
        );
    }

    #[test]
    fn a_missed_limit_stands_out() {
        assert_eq!(ratio(1.0, 4.0, Some(0.3)), "0.25 (≤ 0.3)");
        assert_eq!(ratio(2.0, 4.0, Some(0.3)), "**0.50** (missed: ≤ 0.3)");
    }
}
