//! What the library says of a program that cannot be a server.

use wsmaster::{Context, Handler, Message, Server, ServerError, master::StartError};

struct Nothing;

impl Handler for Nothing {
    fn on_message(&mut self, _: &mut Context<'_>, _: Message<'_>) {}
}

#[test]
fn a_process_with_further_threads_is_told_so_before_anything_is_done() {
    // A test has a thread of its own beside the main one.
    let directory = tempfile::tempdir().expect("a directory");
    let pid_file = directory.path().join("w.pid");
    let result = Server::builder()
        .listen("127.0.0.1:0")
        .workers(1)
        .pid_file(&pid_file)
        .handler(|_worker| Nothing)
        .run();
    let Err(error @ ServerError::Start(StartError::Threads(threads))) = result else {
        panic!("{result:?}");
    };
    assert!(threads >= 2, "{threads}");
    let sentence = error.to_string();
    assert!(sentence.contains("before anything starts a thread"), "{sentence}");
    assert!(!pid_file.exists());
}
