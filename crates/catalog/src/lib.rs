//! The catalogue: who may do what, on which legal basis, as a versioned policy pack.

pub mod pack;
