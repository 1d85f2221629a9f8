//! Programs beside the workers: what they hear, what their commands do, what the server does when they misbehave, and
//! that nothing is left of them.

mod support;

#[path = "plugins/ends.rs"]
mod ends;
#[path = "plugins/faults.rs"]
mod faults;
#[path = "plugins/puppet.rs"]
mod puppet;
#[path = "plugins/surroundings.rs"]
mod surroundings;
#[path = "plugins/words.rs"]
mod words;
