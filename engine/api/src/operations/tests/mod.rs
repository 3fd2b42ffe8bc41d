//! Lists against a naive sort over the same operations, and page by page while operations move.

mod house;
mod moving;
mod naive;
