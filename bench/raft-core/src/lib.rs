//! Nothing but a benchmark lives here: `benches/core`. It is a package of its own so that what it
//! measures beside is built only when it is asked for.
