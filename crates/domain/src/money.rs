//! Amounts of money, exact to the fen.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FieldFault, text};

/// Fen in one 万元 (ten thousand yuan of a hundred fen each).
const FEN_PER_WAN: i64 = 1_000_000;

/// An amount in CNY, counted in fen.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money {
    fen: i64,
}

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyFault {
    /// Not a plain decimal number; write digits with at most one point, no sign or separators.
    #[error("an amount is a plain decimal number such as 1.5, without sign or separators")]
    NotADecimal,
    /// More precise than a fen; give at most six decimals of 万元.
    #[error("an amount in ten thousand yuan has at most six decimals, that is one fen")]
    FinerThanFen,
    /// Larger than can be held; the amount is a mistake.
    #[error("the amount is larger than can be held")]
    TooLarge,
}

impl MoneyFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            MoneyFault::NotADecimal => "AMOUNT_NOT_A_DECIMAL",
            MoneyFault::FinerThanFen => "AMOUNT_FINER_THAN_FEN",
            MoneyFault::TooLarge => "AMOUNT_TOO_LARGE",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

impl Money {
    /// An amount of `fen`.
    pub const fn from_fen(fen: i64) -> Money {
        Money { fen }
    }

    /// The amount in fen.
    pub const fn fen(self) -> i64 {
        self.fen
    }

    /// Parses 万元 (the unit of the penalty publication tables, 发改办财金〔2018〕424号),
    /// for example `1.5` for 15,000 yuan.
    ///
    /// # Errors
    ///
    /// [`MoneyFault`]; never rounds. The caller corrects the text.
    pub fn from_wan_yuan(text: &str) -> Result<Money, MoneyFault> {
        let text = text::half_width(text);
        let text = text.trim();
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(MoneyFault::NotADecimal),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(MoneyFault::NotADecimal);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 6 {
            return Err(MoneyFault::FinerThanFen);
        }
        let wan: i64 = whole.parse().map_err(|_| MoneyFault::TooLarge)?;
        let fen: i64 = format!("{fraction:0<6}")
            .parse()
            .expect("six ASCII digits fit");
        wan.checked_mul(FEN_PER_WAN)
            .and_then(|sum| sum.checked_add(fen))
            .map(Money::from_fen)
            .ok_or(MoneyFault::TooLarge)
    }

    /// The amount in 万元, the shortest text that [`Money::from_wan_yuan`] reads
    /// back to the same amount (negative amounts carry a sign and are not read back).
    pub fn to_wan_yuan(self) -> String {
        let sign = if self.fen < 0 { "-" } else { "" };
        let fen = self.fen.unsigned_abs();
        let unit = FEN_PER_WAN.unsigned_abs();
        let text = format!("{sign}{}.{:06}", fen / unit, fen % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// The sum, or `None` when it cannot be held.
    pub fn checked_add(self, other: Money) -> Option<Money> {
        self.fen.checked_add(other.fen).map(Money::from_fen)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.fen < 0 { "-" } else { "" };
        let fen = self.fen.unsigned_abs();
        write!(f, "{sign}{}.{:02} CNY", fen / 100, fen % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ten_thousand_yuan_are_a_million_fen() {
        for (text, fen) in [
            ("1.5", 1_500_000),
            ("0", 0),
            ("0.000001", 1),
            ("12", 12_000_000),
            ("0.3000000", 300_000),
            (" １．５ ", 1_500_000),
            ("9223372036854.775807", i64::MAX),
        ] {
            assert_eq!(
                Money::from_wan_yuan(text),
                Ok(Money::from_fen(fen)),
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_is_rounded_or_guessed() {
        for text in [
            "", "1.", ".5", "-1", "+1", "1,000", "1e3", "1.2.3", "壹", "1 5", ".",
        ] {
            assert_eq!(
                Money::from_wan_yuan(text),
                Err(MoneyFault::NotADecimal),
                "{text}"
            );
        }
        assert_eq!(
            Money::from_wan_yuan("0.0000001"),
            Err(MoneyFault::FinerThanFen)
        );
        for text in ["9223372036854.775808", "99999999999999999999"] {
            assert_eq!(
                Money::from_wan_yuan(text),
                Err(MoneyFault::TooLarge),
                "{text}"
            );
        }
    }

    #[test]
    fn an_amount_is_shown_in_yuan_with_its_unit() {
        assert_eq!(Money::from_fen(1_500_000).to_string(), "15000.00 CNY");
        assert_eq!(Money::from_fen(-5).to_string(), "-0.05 CNY");
        assert_eq!(
            Money::from_fen(i64::MIN).to_string(),
            "-92233720368547758.08 CNY"
        );
        assert_eq!(Money::from_fen(1_500_000).to_wan_yuan(), "1.5");
        assert_eq!(Money::from_fen(10_000_000).to_wan_yuan(), "10");
        assert_eq!(Money::from_fen(-1).to_wan_yuan(), "-0.000001");
        let most = Money::from_fen(i64::MAX);
        assert_eq!(most.checked_add(Money::from_fen(1)), None);
    }

    proptest! {
        #[test]
        fn an_amount_survives_its_text(fen in 0..=i64::MAX) {
            let money = Money::from_fen(fen);
            prop_assert_eq!(Money::from_wan_yuan(&money.to_wan_yuan()), Ok(money));
        }
    }
}
