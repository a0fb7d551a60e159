//! One suite over three sides: the interpreter, the embedded engine and a real Redis, which it starts
//! itself. The same attempts go to all of them; every answer and the state left behind must agree.

mod audiences;
mod canon;
mod decisions;
mod edges;
mod failures;
mod pauses;
mod plans;
mod provided;
mod random;
mod report;
mod restock;
mod retries;
mod rules;
mod samples;
mod scripts;
mod shadow;
mod sides;
mod world;
