//! The simulator's own tests: the course's scenarios by name, and that a seed is a seed.

mod course;
mod course_2a;
mod course_2b;
mod course_2c;
mod course_2d;
mod course_3a;
mod course_3b;
mod determinism;
mod disks;
mod judge;
mod rare_states;
mod shrinking;
mod tracing;
mod upgrades;
