//! Scores and percentages, which check themselves when they are read.

use std::borrow::Cow;

use exedra_sdk::prelude::*;
use schemars::{Schema, SchemaGenerator, json_schema};

/// A score or confidence, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Score(pub f64);

/// A share of a whole, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Percent(pub f64);

impl TryFrom<f64> for Score {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err("a score is from 0 to 1") }
    }
}

impl TryFrom<f64> for Percent {
    type Error = &'static str;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        if (0.0..=100.0).contains(&value) { Ok(Self(value)) } else { Err("a percentage is from 0 to 100") }
    }
}

macro_rules! schemas {
    ($($name:ident to $most:literal),*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "number", "minimum": 0, "maximum": $most })
            }
        }
    )*};
}

schemas!(Score to 1, Percent to 100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_between_zero_and_one() {
        for good in [json!(0), json!(1), json!(0.92)] {
            assert!(serde_json::from_value::<Score>(good).is_ok());
        }
        for bad in [json!(-0.01), json!(1.01), json!(1e300), json!("0.5"), json!(null), json!([0.5])] {
            assert!(serde_json::from_value::<Score>(bad.clone()).is_err(), "{bad}");
        }
        assert!(Score::try_from(f64::NAN).is_err());
        assert!(Percent::try_from(100.0).is_ok() && Percent::try_from(100.1).is_err());
    }
}
