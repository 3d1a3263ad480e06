//! What a cached call costs, beside what else one might use. `bench/README.md` says how it is
//! measured, and what that leaves out.

pub mod allocation;
pub mod bump;
pub mod contender;
pub mod herd;
pub mod machine;
pub mod plot;
pub mod race;
pub mod report;
pub mod resp3;
pub mod results;
pub mod spinner;
pub mod statistic;
pub mod value;
