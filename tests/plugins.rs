//! Programs beside the workers: what they hear, what their commands do, what the server does when they misbehave, and
//! that nothing is left of them.

mod support;

#[path = "plugins/application.rs"]
mod application;
#[path = "plugins/deciders.rs"]
mod deciders;
#[path = "plugins/doors.rs"]
mod doors;
#[path = "plugins/ends.rs"]
mod ends;
#[path = "plugins/examples.rs"]
mod examples;
#[path = "plugins/faults.rs"]
mod faults;
#[path = "plugins/goodbyes.rs"]
mod goodbyes;
#[path = "plugins/lines.rs"]
mod lines;
#[path = "plugins/lost.rs"]
mod lost;
#[path = "plugins/puppet.rs"]
mod puppet;
#[path = "plugins/reloads.rs"]
mod reloads;
#[path = "plugins/scopes.rs"]
mod scopes;
#[path = "plugins/starts.rs"]
mod starts;
#[path = "plugins/successors.rs"]
mod successors;
#[path = "plugins/surroundings.rs"]
mod surroundings;
#[path = "plugins/trouble.rs"]
mod trouble;
#[path = "plugins/words.rs"]
mod words;
