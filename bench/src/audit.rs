//! The books: whether everything that was sent arrived, once, and in order. Owns no sockets and no clock.
//! Order is judged for each (receiver, sender, room): that is what Socket.IO promises.

use std::fmt;

use anyhow::{Result, bail};

/// What went wrong. Anything but zeros fails the run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    pub lost: u64,
    pub repeated: u64,
    pub disordered: u64,
}

impl Faults {
    pub fn check(self) -> Result<()> {
        if self != Self::default() {
            bail!("{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} lost, {} repeated, {} out of order",
            self.lost, self.repeated, self.disordered
        )
    }
}

/// What one receiver has of one sender in one room: messages are numbered from 0.
#[derive(Debug, Default, Clone)]
pub struct Stream {
    next: u32,
    /// Numbers that were skipped and may still come, late.
    missing: Vec<u32>,
}

impl Stream {
    /// Books one arrival. False if it had come before.
    pub fn receive(&mut self, number: u32, faults: &mut Faults) -> bool {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            return true;
        }
        match self.missing.iter().position(|missing| *missing == number) {
            Some(late) => {
                self.missing.swap_remove(late);
                faults.disordered += 1;
                true
            }
            None => {
                faults.repeated += 1;
                false
            }
        }
    }

    /// Closes the books after `sent` messages.
    pub fn close(&self, sent: u32, faults: &mut Faults) {
        faults.lost += self.missing.len() as u64 + u64::from(sent.saturating_sub(self.next));
    }
}

/// The value below which the fraction `rank` of `values` lies. Sorts them.
pub fn percentile(values: &mut [f64], rank: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    values[((last as f64) * rank).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(arrivals: &[u32], sent: u32) -> Faults {
        let (mut stream, mut faults) = (Stream::default(), Faults::default());
        for number in arrivals {
            stream.receive(*number, &mut faults);
        }
        stream.close(sent, &mut faults);
        faults
    }

    #[test]
    fn every_fault_is_told_from_the_others() {
        let faults = |lost, repeated, disordered| Faults {
            lost,
            repeated,
            disordered,
        };
        assert_eq!(faults_of(&[0, 1, 2], 3), faults(0, 0, 0));
        assert_eq!(faults_of(&[0, 2], 3), faults(1, 0, 0));
        assert_eq!(faults_of(&[0, 1], 3), faults(1, 0, 0));
        assert_eq!(faults_of(&[0, 1, 1, 2], 3), faults(0, 1, 0));
        assert_eq!(faults_of(&[0, 2, 1], 3), faults(0, 0, 1));
        assert_eq!(faults_of(&[0, 2, 1, 1], 3), faults(0, 1, 1));
        assert!(faults(0, 1, 0).check().is_err());
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.5), 50.0);
        assert_eq!(percentile(&mut values, 0.99), 99.0);
        assert_eq!(percentile(&mut [7.0], 0.99), 7.0);
    }
}
